"""Drills: what is measured, what is past a target, what is undone whatever happens. Without a stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from teal import runbook
from teal.drill.measure import DrillLimits
from teal.drill.run import go_through
from teal.drill.scene import Drill, Scene, Whole
from teal.drill.stack import DrillStack
from teal.drill.users import SimulatedUsers
from tests.services.ports import free_port

BOOK = runbook.parse_runbook(
    "# T\n\n## Meaning\n\n## Impact\n\n## Diagnosis\n\n```bash name=look\nexit 7\n```\n\n## Mitigation\n\n"
    "```bash name=mend\ntouch mended; echo new words\n```\n\n```bash name=fail\necho no room >&2; exit 3\n```\n\n"
    "## Verification\n\n```bash name=verify\ntest -e mended\n```\n\n```bash name=second\ntest -e once || { touch once; exit 1; }\n```\n",
    "test",
)


class _Stage:
    """A drill whose fault is a missing file."""

    def __init__(self, folder: Path) -> None:
        self.undone = False
        stack = DrillStack(folder / ".teal", 1)
        self.scene = Scene(stack, SimulatedUsers("https://localhost:1", ("k",), None, per_second=1), BOOK, folder, "k", "1")

    def play(self, *blocks: str, whole_seconds: float = 0.5, **options: object) -> tuple[float, str]:
        @contextmanager
        def cause(scene: Scene) -> Iterator[Whole]:
            try:
                scene.strike()
                yield (scene.folder / "mended").exists
            finally:
                self.undone = True

        drill = Drill("test", "a fault", "test", cause, blocks, **options)  # type: ignore[arg-type]
        return go_through(drill, self.scene, DrillLimits(answered_seconds=1, whole_seconds=whole_seconds))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Stage:
    monkeypatch.setattr("teal.drill.run.CALM_SECONDS", 0.0)
    return _Stage(tmp_path)


def test_a_runbook_that_mends_is_timed_from_the_fault_and_a_look_may_fail(stage: _Stage) -> None:
    whole_at, failure = stage.play("look", "mend", "verify", whole_seconds=5)
    assert failure == ""
    assert whole_at >= stage.scene.fault_at > 0
    assert [(ran.block, ran.exit_code) for ran in stage.scene.ran] == [("look", 7), ("mend", 0), ("verify", 0)]
    assert stage.undone


def test_a_block_that_fails_fails_the_drill_in_its_own_words_and_the_fault_is_undone(stage: _Stage) -> None:
    whole_at, failure = stage.play("look", "fail", "verify")
    assert (whole_at, failure) == (0.0, "Block fail ended with 3: no room")
    assert [ran.block for ran in stage.scene.ran] == ["look", "fail"]
    assert stage.undone


def test_a_check_is_run_again_until_it_passes_or_its_time_is_over(stage: _Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stage.play("look", "second") == (0.0, "")
    assert [(ran.block, ran.exit_code) for ran in stage.scene.ran] == [("look", 7), ("second", 1), ("second", 0)]
    monkeypatch.setattr("teal.drill.scene.VERIFY_SECONDS", 0.0)
    assert stage.play("verify")[1].startswith("Block verify ended with 1")


def test_what_is_never_whole_is_waited_for_no_longer_than_twice_its_target(stage: _Stage) -> None:
    whole_at, failure = stage.play("look")
    assert (whole_at, failure) == (0.0, "")
    assert stage.undone


def test_what_belongs_after_a_block_comes_between_it_and_the_next(stage: _Stage) -> None:
    heard: list[tuple[str, int]] = []
    stage.play(
        "look", "mend", "verify", whole_seconds=5, after=(("mend", lambda scene, ran: heard.append((ran.said, len(scene.ran)))),)
    )
    assert heard == [("new words\n", 2)]


def test_an_interrupted_drill_undoes_its_fault(stage: _Stage) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.play("look", after=(("look", interrupt),))
    assert stage.undone


def test_a_request_that_found_nobody_is_failed_with_what_the_socket_said() -> None:
    """A document, searches and a streamed question. httpx alone says "All connection attempts failed", whatever the reason."""
    users = SimulatedUsers(f"https://127.0.0.1:{free_port()}", ("k",), None, per_second=100, limit=5)
    users.start()
    users.join(30)
    met = users.met
    assert (met.sent, met.failed, met.answered, met.streams, met.broken_streams) == (5, 5, 0, 1, 0)
    assert len(met.failures) == 5
    assert all("ConnectionRefusedError" in failure for failure in met.failures), met.failures
