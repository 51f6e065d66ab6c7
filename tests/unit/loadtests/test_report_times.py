"""The seconds that the counts of workers cover."""

from __future__ import annotations

import pytest

from loadtests.report_times import ReportTimes


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_counts_cover_what_workers_have_reported_on_average(clock: Clock) -> None:
    times = ReportTimes(clock)
    assert times.covered_seconds(["a", "b"]) == 0
    for worker, at in (("a", 103.0), ("b", 105.0)):
        clock.now = at
        times.came(worker)
    clock.now = 107.0
    assert times.covered_seconds(["a", "b"]) == 4
    assert times.seconds() == 7


def test_a_worker_that_comes_or_goes_changes_nothing_that_was_covered(clock: Clock) -> None:
    times = ReportTimes(clock)
    for at in range(101, 131, 3):
        clock.now = float(at)
        times.came("a")
        times.came("b")
    assert times.covered_seconds(["a", "b"]) == 28
    assert times.covered_seconds(["a", "new"]) == 28
    clock.now = 160.0
    times.came("a")
    assert times.covered_seconds(["a"]) == 60, "what the one that is gone did not report any more is not waited for"
    clock.now = 161.0
    times.came("new")
    assert times.covered_seconds(["a", "new"]) == pytest.approx(60.5)


def test_the_next_run_begins_at_nothing(clock: Clock) -> None:
    times = ReportTimes(clock)
    clock.now = 103.0
    times.came("a")
    times.begin()
    assert times.covered_seconds(["a"]) == 0
