"""A releaser that dies or sleeps: traffic stays where it was, and one command goes on or takes everything back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from teal.ports.traffic import all_to, weights_after_shift
from tests.services.releasing import ReleaseStack, tree

pytestmark = [pytest.mark.integration, pytest.mark.release, pytest.mark.timeout(500)]
LEASE_SECONDS = 15  # above the longest silence of a step: one admin command on a busy machine
RULES = {
    "steps": [25, 100], "analysis_seconds": 3, "minimum_samples": 20, "hold_seconds": 3, "poll_seconds": 0.5, "jobs_seconds": 30,
    "probes_per_poll": 10, "lease_seconds": LEASE_SECONDS, "slo_seconds": 10, "paused_seconds": 60,
}  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseStack]:
    yield from ReleaseStack.running(tmp_path_factory.mktemp("interrupted"), RULES)


def _until(stack: ReleaseStack, releaser: subprocess.Popen[str], there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not there():
        assert releaser.poll() is None, releaser.communicate()[0][-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _at(stack: ReleaseStack, step: str) -> Callable[[], bool]:
    return lambda: (found := stack.record().release) is not None and found.step == step


def _release(stack: ReleaseStack, folder: Path, step: str) -> tuple[subprocess.Popen[str], str, str]:
    """A releaser that has come to `step`; the color it works on and the one that was active before."""
    old = str(stack.record().active)
    releaser = stack.start("release", str(tree(folder, text=step)), "--version", step, "--json")
    _until(stack, releaser, _at(stack, step))
    return releaser, "green" if old == "blue" else "blue", old


def _after_the_lease(stack: ReleaseStack, *command: str) -> tuple[int, list[dict[str, object]]]:
    """The command, again and again while the dead holder's lease lives (exit 3)."""
    deadline = time.monotonic() + 4 * LEASE_SECONDS
    while True:
        code, said = stack.teal(*command)
        if code != 3 or time.monotonic() > deadline:
            return code, said
        time.sleep(0.5)


@pytest.mark.parametrize(
    ("step", "command", "goes_on"),
    # Steps of seconds: one that a quiet machine does in 40 ms, such as `ready`, is over before it is seen.
    [
        pytest.param("golden", ("resume",), True, marks=pytest.mark.weekly),
        ("analyse-25", ("abort",), False),
        pytest.param("hold", ("resume",), True, marks=pytest.mark.weekly),
    ],
)
def test_a_killed_releaser_leaves_what_one_command_finishes(
    stack: ReleaseStack, tmp_path: Path, step: str, command: tuple[str, ...], goes_on: bool
) -> None:
    releaser, new, old = _release(stack, tmp_path, step)
    os.kill(releaser.pid, signal.SIGKILL)
    releaser.wait(10)
    shares = stack.weights()
    assert shares in (all_to(old), all_to(new), weights_after_shift(new, 25))  # type: ignore[arg-type]
    code, said = _after_the_lease(stack, *command)
    assert code == 0, said[-3:]
    active, gone = (new, old) if goes_on else (old, new)
    record = stack.record()
    assert (record.active, record.release, record.color(gone)) == (active, None, None)
    assert stack.weights() == all_to(active)  # type: ignore[arg-type]
    status, said = stack.teal("status")
    assert status == 0, said


def test_a_releaser_that_slept_through_a_rollback_never_shifts_again(stack: ReleaseStack, tmp_path: Path) -> None:
    releaser, new, old = _release(stack, tmp_path, "analyse-25")
    os.kill(releaser.pid, signal.SIGSTOP)
    try:
        code, said = stack.teal("rollback")
        assert code == 0, said[-3:]
        assert stack.weights() == all_to(old)  # type: ignore[arg-type]
    finally:
        os.kill(releaser.pid, signal.SIGCONT)
    told = releaser.communicate(timeout=60)[0]
    assert releaser.returncode == 1, told[-2000:]
    assert stack.weights() == all_to(old)  # type: ignore[arg-type]
    record = stack.record()
    assert (record.active, record.release, record.color(new)) == (old, None, None)


def test_of_two_releases_at_once_one_wins_and_the_other_is_told_who_holds_it(stack: ReleaseStack, tmp_path: Path) -> None:
    trees = [tree(tmp_path / name, text=name) for name in ("one", "two")]
    both = [stack.start("release", str(made), "--json") for made in trees]
    ended = [(process.communicate(timeout=180)[0], process.returncode) for process in both]
    assert sorted(code for _, code in ended) == [0, 3], [said[-500:] for said, _ in ended]
    loser = next(said for said, code in ended if code == 3)
    assert json.loads(loser.splitlines()[-1])["error"]["code"] in ("held", "lost-race")
