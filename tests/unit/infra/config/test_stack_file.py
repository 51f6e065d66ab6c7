"""A stack's file that cannot be read is said in words, with its line, by every command that looks into it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contract.stack_file import NotAStackFile, read_config, read_values
from infra.cost.report import main
from infra.evaluation import evaluate as evaluation
from teal.aws import stack_file
from teal.errors import BadInput

BROKEN = {
    "yaml": (b"config:\n  teal:web: {domain: [}\n", "line 2: it is not YAML"),
    "latin-1": ("config: {a: M\xfcnchen}".encode("latin-1"), "it is not UTF-8: byte 13 is 0xfc"),
    "empty": (b"", "it is empty"),
    "list": (b"- a\n", "it holds a list"),
    "laughs": (b"config:\n  a: &a [x, x]\n  b: [*a, *a]\n", "line 3: *a stands for what is written elsewhere"),
    "depth": (b"config: {a: " + b"[" * 100_000, "line 1: more than 20 lists and mappings in one another"),
    "no config": (b"secretsprovider: x\n", "no `config:`"),
    "twice": (b"config:\n  aws:region: eu-central-1\n  aws:region: eu-west-1\n", "line 3: aws:region is there twice"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_is_wrong_is_said(tmp_path: Path, name: str) -> None:
    content, said = BROKEN[name]
    (tmp_path / "Pulumi.x.yaml").write_bytes(content)
    with pytest.raises(NotAStackFile, match=re.escape(said.split("`")[0])):
        read_values(tmp_path / "Pulumi.x.yaml")


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_every_command_names_the_file_and_ends_with_2(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.x.yaml").write_bytes(BROKEN[name][0])
    with pytest.raises(BadInput, match=r"Pulumi\.x\.yaml cannot be read"):
        stack_file.read_stack_file(tmp_path, "x")
    monkeypatch.setattr(evaluation, "ROOT", tmp_path)
    assert main(["x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Pulumi.x.yaml cannot be read: ")
    assert "Traceback" not in error


def test_a_good_file_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.x.yaml").write_text("config:\n  teal:budget_usd: 7\n")
    assert read_config(tmp_path / "Pulumi.x.yaml") == {"teal:budget_usd": 7}
