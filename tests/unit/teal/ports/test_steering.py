"""The section `teal:releases` of a stack's file, as `teal` reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.steering import Steering
from teal.errors import BadInput
from teal.ports.steering import read_steering

GOOD = """\
config:
  teal:releases:
    hooks:
      - {name: warm, before: shift-5, run: [scripts/warm, --all], timeout_seconds: 60, on_timeout: continue}
      - {name: ask, after: hold, post: "https://change.example.com/over", secrets: {Authorization: env:CHANGE_TOKEN}}
    notifications:
      - {send: webhook, to: "env:SLACK_WEBHOOK", about: [pause, undo]}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "release.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_section_is_read_and_nothing_is_there_without_one(tmp_path: Path) -> None:
    found = read_steering(written(tmp_path, GOOD))
    assert [hook.says() for hook in found.hooks] == [
        "run scripts/warm --all; after 60 s the release goes on",
        "POST https://change.example.com/over; after 30 s the release is undone; given: Authorization",
    ]
    assert found.notifications[0].about == ("pause", "undo")
    assert read_steering(tmp_path / "nothing.yaml") == Steering()
    assert read_steering(written(tmp_path, "config:\n  aws:region: eu-central-1\n")) == Steering()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("name: warm", "nmae: warm"), "hooks.0.name: Field required"),
        (("on_timeout: continue", "on_timeout: wait"), "hooks.0.on_timeout"),
        (("name: ask", "name: warm"), "hook warm is there twice"),
        (("before: shift-5, ", ""), "hook warm stands before one step or after one"),
        (("env:CHANGE_TOKEN", "Bearer geheim-1234"), "hooks.1.secrets.Authorization: String should match pattern"),
        (("config:", "config: ["), "release.yaml cannot be read"),
    ],
)
def test_a_wrong_section_is_refused_by_its_key_and_without_its_values(tmp_path: Path, edit: tuple[str, str], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_steering(written(tmp_path, GOOD.replace(*edit)))
    assert said in refused.value.what
    assert "geheim" not in str(refused.value)
