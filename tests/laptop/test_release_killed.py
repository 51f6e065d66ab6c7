"""kill -9 during a release under load, at every step and of every part: the stack is healthy again and nobody lifts a hand."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.color import Color
from contract.watchdog import ABANDONED_SECONDS
from teal.drill.users import QUESTIONS
from teal.ports.target import ReleaseRules
from teal.ports.traffic import all_to
from teal.record.model import Record, other
from teal.release.plan import planned_steps
from tests.services.releasing import ReleaseStack, tree, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.release, pytest.mark.weekly, pytest.mark.timeout(600)]
RULES = {
    "steps": [25, 100],
    "analysis_seconds": 6,
    "minimum_samples": 20,
    "hold_seconds": 6,
    "poll_seconds": 0.5,
    "jobs_seconds": 30,
}
PER_SECOND = 20.0
ENDED_SECONDS = (
    ABANDONED_SECONDS + 150
)  # the watchdog leaves an abandoned release to a person for so long; then it needs a minute
HEALTHY_SECONDS = 120


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseStack]:
    for made in ReleaseStack.running(tmp_path_factory.mktemp("killed"), RULES):
        made.fill()
        yield made


def _step_names() -> list[str]:
    """Every step of a release with an active color, as the record names it."""
    return [one.name for one in planned_steps(Record(active="blue"), ReleaseRules(steps=(25, 100)), reindex=False)]


@pytest.mark.parametrize("step", _step_names())
def test_a_releaser_killed_at_any_step_leaves_a_stack_that_becomes_whole_by_itself(
    stack: ReleaseStack, tmp_path: Path, step: str
) -> None:
    users = stack.users((stack.key(),), per_second=PER_SECOND)
    users.start()
    said = tmp_path / "said.jsonl"
    releaser, old = _release_at(stack, step, said)
    os.kill(releaser.pid, signal.SIGKILL)
    killed = time.monotonic()
    releaser.wait(10)
    wait_until(lambda: stack.record().release is None, ENDED_SECONDS, said)
    wait_until(lambda: stack.teal("status")[0] == 0, HEALTHY_SECONDS, said)
    took = time.monotonic() - killed
    met = users.stop()
    print(f"{step}: whole {took:.0f} s after kill -9, {met.failed} of {met.sent} requests failed")
    _whole(stack, old)
    assert met.failed == 0, met.failures  # the releaser answers nobody, so nobody misses it


@pytest.mark.parametrize(
    "part", ["supervisord", "caddy", "watchdog", "app of the new color", "app of the old color", "worker of the new color"]
)
def test_a_part_killed_in_the_middle_of_a_release_comes_back_and_the_release_ends(
    stack: ReleaseStack, tmp_path: Path, part: str
) -> None:
    users = stack.users((stack.key(),), per_second=PER_SECOND)
    users.start()
    said = tmp_path / "said.jsonl"
    releaser, old = _release_at(stack, "analyse-25", said)
    color = {"new": other(old), "old": old}.get(part.split()[-2] if " " in part else "")
    named = f"{color}-{part.split()[0]}" if color else part
    os.kill(next(pid for pid, name in stack.processes().items() if name.startswith(named)), signal.SIGKILL)
    killed = time.monotonic()
    code = releaser.wait(ENDED_SECONDS)
    wait_until(lambda: stack.record().release is None, ENDED_SECONDS, said)
    wait_until(lambda: stack.teal("status")[0] == 0, HEALTHY_SECONDS, said)
    took = time.monotonic() - killed
    met = users.stop()
    print(f"{part}: the release ended with {code}, whole after {took:.0f} s, {met.failed} of {met.sent} requests failed")
    assert code in (0, 1), said.read_text()[-2000:]  # done, or undone
    _whole(stack, old)


def _release_at(stack: ReleaseStack, step: str, said: Path) -> tuple[subprocess.Popen[str], Color]:
    """A releaser that has come to `step` and writes its events to `said`, and the color that was active before."""
    old = stack.record().active
    assert old
    made = tree(said.parent, text=f"{step} {time.time()}")
    releaser = stack.start("release", str(made), "--version", step, "--json", to=said)
    begins = f'"step": "{step}", "state": "start"'  # the record is read too slowly: some steps take a few milliseconds

    def there() -> bool:
        assert releaser.poll() is None, said.read_text()[-2000:]
        return begins in said.read_text()

    wait_until(there, 180, said, pause_seconds=0.001)
    return releaser, old


def _whole(stack: ReleaseStack, old: Color) -> None:
    """One color has all users, is the active one in the record, and answers; nothing of the release is left."""
    record = stack.record()
    assert record.active
    assert (record.release, record.lease, record.color(other(record.active))) == (None, None, None)
    assert stack.weights() == all_to(record.active)
    if record.active == old:
        assert not [name for name in stack.processes().values() if name.startswith(other(old))]
    with stack.client(stack.key("reader")) as client:
        assert client.ask(QUESTIONS[0])["grounded"]
