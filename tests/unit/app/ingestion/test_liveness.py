"""A worker lives as long as its heartbeats go on, whatever its machine's clock or this one's says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.ingestion.liveness import Liveness

ONE, TWO = ("blue-0", "r1"), ("blue-1", "r1")
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
GONE_SECONDS = 60.0


class Clocks:
    """The observer's two clocks: the time of day can be set, the seconds only pass."""

    def __init__(self) -> None:
        self.seconds, self.day = 1_000.0, NOON

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds
        self.day += timedelta(seconds=seconds)

    def observer(self) -> Liveness:
        return Liveness(clock=lambda: self.seconds, now=lambda: self.day)


@pytest.mark.parametrize("wrong", [timedelta(hours=-2), timedelta(seconds=0), timedelta(hours=2), timedelta(days=30)])
def test_a_worker_whose_clock_is_wrong_lives_while_it_beats_and_is_gone_a_minute_after(wrong: timedelta) -> None:
    clocks = Clocks()
    observer = clocks.observer()
    for _ in range(5):
        observer.live_workers({ONE: clocks.day + wrong}, within_seconds=GONE_SECONDS)
        clocks.pass_(3)
    last = clocks.day + wrong
    assert observer.live_workers({ONE: last}, within_seconds=GONE_SECONDS) == {ONE}
    clocks.pass_(59)
    assert observer.live_workers({ONE: last}, within_seconds=GONE_SECONDS) == {ONE}
    clocks.pass_(2)
    assert observer.live_workers({ONE: last}, within_seconds=GONE_SECONDS) == set()
    assert observer.live_workers({ONE: last + timedelta(seconds=1)}, within_seconds=GONE_SECONDS) == {ONE}, "it came back"


@pytest.mark.parametrize("hours", [-26, -2, 2, 26])
def test_setting_the_time_of_day_makes_nobody_gone_and_keeps_nobody(hours: int) -> None:
    clocks = Clocks()
    observer = clocks.observer()
    beat = {ONE: clocks.day, TWO: clocks.day}
    assert observer.live_workers(beat, within_seconds=GONE_SECONDS) == {ONE, TWO}
    clocks.day += timedelta(hours=hours)
    assert observer.live_workers(beat, within_seconds=GONE_SECONDS) == {ONE, TWO}
    clocks.pass_(61)
    assert observer.live_workers({ONE: clocks.day, TWO: beat[TWO]}, within_seconds=GONE_SECONDS) == {ONE}


def test_at_the_first_look_a_worker_long_gone_is_known_as_such_and_one_that_is_removed_is_forgotten() -> None:
    clocks = Clocks()
    observer = clocks.observer()
    assert observer.live_workers(
        {ONE: NOON - timedelta(minutes=5), TWO: NOON - timedelta(seconds=5)}, within_seconds=GONE_SECONDS
    ) == {TWO}
    assert observer.live_workers({}, within_seconds=GONE_SECONDS) == set()
