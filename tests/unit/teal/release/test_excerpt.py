"""The last errors of a failed color in the evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from teal.errors import OperatorError
from teal.record.model import Color
from teal.release.evidence.excerpt import MOST_CHARACTERS, mask_secrets
from teal.release.runner import ReleaseFailed, ReleaseRequest, release
from tests.unit.teal.release.ports import Behaviour, World

NEW = ReleaseRequest(Path("new"))
PROBE_KEY = "teal_0a1b_probe-key"


class Logs:
    """Inside processes that wrote these lines; or whose logs cannot be read."""

    def __init__(self, *lines: str, broken: bool = False) -> None:
        self._lines, self._broken = lines, broken

    def held(self, color: Color) -> Mapping[str, float]:
        return {}

    def logged(self, color: Color, text: str) -> bool:
        return False

    def errors(self, color: Color, count: int) -> Sequence[str]:
        if self._broken:
            raise OperatorError("no logs", where="logs", next="teal logs")
        return self._lines[-count:] if color == "green" else ()


def failed(world: World, inside: Logs) -> tuple[dict[str, object], str]:
    """The evidence of a release whose new color answers with errors."""
    world.put_image("new", Behaviour(errors=0.5))
    headers = {"Authorization": f"Bearer {PROBE_KEY}"}
    with pytest.raises(ReleaseFailed):
        list(release(world.process(inside=inside, probe_headers=headers).target, NEW))
    world.assert_whole()
    found = {key.rsplit("/", 1)[1]: body.decode() for key, body in world.objects.items() if key.startswith("evidence/")}
    return json.loads(found["release.json"]), found["index.html"]


def test_the_evidence_of_a_failure_shows_what_the_new_color_wrote_without_secrets_and_escaped(world: World) -> None:
    lines = (
        "green-app-0.log: KeyError: '<script>'",
        f"green-app-1.log: refused {PROBE_KEY}",
        "green-app-1.log: postgresql://teal:geheim-1234@db/teal \x1b[2J",  # pragma: allowlist secret
    )
    whole, page = failed(world, Logs(*lines))
    (event,) = [one for one in whole["events"] if "log" in one]  # type: ignore[attr-defined]
    assert event["log"] == [lines[0], "green-app-1.log: refused ***", "green-app-1.log: postgresql://***@db/teal \\x1b[2J"]
    assert "<h2>Errors in the logs of the new color</h2>" in page
    assert "KeyError: &#x27;&lt;script&gt;&#x27;" in page
    assert "<script>" not in page
    for shown in (page, json.dumps(whole)):
        assert PROBE_KEY not in shown
        assert "geheim" not in shown


@pytest.mark.parametrize("inside", [Logs(), Logs(broken=True)])
def test_logs_that_are_not_there_keep_no_release_from_being_undone(world: World, inside: Logs) -> None:
    _, page = failed(world, inside)
    assert "Errors in the logs" not in page


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer ***"),
        ("TEAL_OPENAI_API_KEY=sk-1 x", "TEAL_OPENAI_*** x"),
        ('{"password": "p", "a": 1}', '{"***", "a": 1}'),
        ("cookie teal_session=AbC_9", "cookie teal_session=***"),
        ("nothing secret here", "nothing secret here"),
        ("x" * 5_000, "x" * MOST_CHARACTERS),
    ],
)
def test_what_looks_like_a_secret_is_masked(line: str, shown: str) -> None:
    assert mask_secrets(line) == shown
