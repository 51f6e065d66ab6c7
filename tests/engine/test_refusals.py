"""What the platform's program refuses while it runs, as the person before the real command sees it."""

from __future__ import annotations

import pytest

from infra.evaluation.evaluate import ROOT
from tests.engine.conftest import Engine
from tests.unit.infra.config.test_config import edited


@pytest.mark.parametrize(
    ("stack", "edits", "words"),
    [
        # The stand-in provider says that role/deployer runs the program.
        (
            "dev",
            {"teal:cluster.admin_role_arns": ["arn:aws:iam::123456789012:role/ann"]},
            "teal:cluster.admin_role_arns: arn:aws:iam::123456789012:role/deployer runs this program and is not listed",
        ),
        ("staging", {"teal:network.zones": 1}, "teal:network.zones: 1 is refused"),
    ],
)
def test_a_refusal_is_its_words_alone_and_nothing_is_made(
    engine: Engine, stack: str, edits: dict[str, object], words: str
) -> None:
    workspace = engine.open("teal", ROOT / "infra")
    workspace.stack(stack, edited(stack, edits))
    ended = workspace.run("up", "--stack", stack, "--yes", "--skip-preview")
    assert ended.code != 0
    assert words in ended.text
    assert "To mend it: " in ended.text
    assert "Traceback" not in ended.text
    assert "unhandled exception" not in ended.text
    assert engine.cloud.things == {}
