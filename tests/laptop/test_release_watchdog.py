"""kill -9 of a releaser under people's eyes: its users are back on the color of before in a quarter of a minute, and nobody lifts a hand."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.watchdog import END_SECONDS
from teal.ports.traffic import all_to, weights_after_shift
from tests.services.releasing import ReleaseStack, tree, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.release, pytest.mark.timeout(400)]
RULES = {"steps": [25, 100], "analysis_seconds": 60, "minimum_samples": 20, "poll_seconds": 1}  # the lease is a laptop's own
BACK_SECONDS = 15.0


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[ReleaseStack]:
    yield from ReleaseStack.running(tmp_path, RULES)


def test_a_killed_releasers_users_are_back_in_15_s_and_the_service_is_whole_without_a_hand(
    stack: ReleaseStack, tmp_path: Path
) -> None:
    stack.fill()
    users = stack.users((stack.key(),), per_second=10.0, documents=False)
    users.start()
    to = tmp_path / "said.jsonl"
    releaser = stack.start("release", str(tree(tmp_path, text="unwatched")), "--version", "unwatched", "--json", to=to)
    wait_until(lambda: stack.weights() == weights_after_shift("green", 25), 120, to)
    os.kill(releaser.pid, signal.SIGKILL)
    killed = time.monotonic()
    releaser.wait(10)
    wait_until(lambda: stack.weights() == all_to("blue"), BACK_SECONDS, to)
    back = time.monotonic() - killed

    code, said = stack.teal("status")
    assert code != 0
    row = next(row for row in said[0]["rows"] if row["part"] == "release")
    assert "the watchdog undoes it" in row["detail"]
    release = stack.record().release
    assert release is not None
    assert release.note.startswith("watchdog: the releaser of")

    wait_until(lambda: stack.record().release is None, END_SECONDS + 90, to)
    met = users.stop()
    print(
        f"back {back:.1f} s after kill -9, whole after {time.monotonic() - killed:.1f} s, {met.failed} of {met.sent} requests failed"
    )
    record = stack.record()
    assert (record.active, record.green, record.lease) == ("blue", None, None)
    assert stack.weights() == all_to("blue")
    assert met.failed == 0, met.failures
    code, said = stack.teal("status")
    assert code == 0, said
