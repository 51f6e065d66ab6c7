"""A worker lives as long as its heartbeats go on, whatever its machine's clock or this one's says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from app.ingestion.liveness import Liveness, Worker

ONE, TWO = ("blue-0", "r1"), ("blue-1", "r1")
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
GONE_SECONDS = 60.0
LOOK_SECONDS = 3  # between two looks of an observer that can look


class Clocks:
    """The observer's two clocks: the time of day can be set, the seconds only pass."""

    def __init__(self) -> None:
        self.seconds, self.day = 1_000.0, NOON

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds
        self.day += timedelta(seconds=seconds)

    def watch(self, observer: Liveness, beats: Mapping[Worker, datetime], seconds: int) -> set[Worker]:
        """Look every LOOK_SECONDS for so long; who lives at the last look."""
        live: set[Worker] = set()
        for passed in range(LOOK_SECONDS, seconds + LOOK_SECONDS, LOOK_SECONDS):
            self.pass_(min(LOOK_SECONDS, seconds + LOOK_SECONDS - passed))
            live = observer.live_workers(beats, within_seconds=GONE_SECONDS)
        return live

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
    assert clocks.watch(observer, {ONE: last}, 59) == {ONE}
    assert clocks.watch(observer, {ONE: last}, 2) == set()
    assert observer.live_workers({ONE: last + timedelta(seconds=1)}, within_seconds=GONE_SECONDS) == {ONE}, "it came back"


@pytest.mark.parametrize("hours", [-26, -2, 2, 26])
def test_setting_the_time_of_day_makes_nobody_gone_and_keeps_nobody(hours: int) -> None:
    clocks = Clocks()
    observer = clocks.observer()
    beat = {ONE: clocks.day, TWO: clocks.day}
    assert observer.live_workers(beat, within_seconds=GONE_SECONDS) == {ONE, TWO}
    clocks.day += timedelta(hours=hours)
    assert observer.live_workers(beat, within_seconds=GONE_SECONDS) == {ONE, TWO}
    assert clocks.watch(observer, beat, 59) == {ONE, TWO}
    clocks.pass_(2)
    assert observer.live_workers({ONE: clocks.day, TWO: beat[TWO]}, within_seconds=GONE_SECONDS) == {ONE}


@pytest.mark.parametrize("old", [timedelta(minutes=5), timedelta(days=1)])
def test_an_observer_that_started_during_an_outage_of_the_database_finds_nobody_gone_until_silence_is_its_own(
    old: timedelta,
) -> None:
    clocks = Clocks()
    observer = clocks.observer()
    beats = {ONE: NOON - old, TWO: NOON - old}
    assert observer.live_workers(beats, within_seconds=GONE_SECONDS) == {ONE, TWO}, "the outage kept both from beating"
    assert clocks.watch(observer, beats | {TWO: NOON}, 48) == {ONE, TWO}
    assert clocks.watch(observer, beats | {TWO: NOON}, 3) == {TWO}, "one has not beaten since the database is back"


def test_a_worker_that_is_removed_is_forgotten() -> None:
    clocks = Clocks()
    observer = clocks.observer()
    assert observer.live_workers({ONE: NOON}, within_seconds=GONE_SECONDS) == {ONE}
    assert observer.live_workers({}, within_seconds=GONE_SECONDS) == set()


@pytest.mark.parametrize("away_seconds", [61, 600, 86_400])
def test_an_outage_of_the_database_during_which_nobody_could_look_or_beat_makes_nobody_gone(away_seconds: int) -> None:
    clocks = Clocks()
    observer = clocks.observer()
    beats = {ONE: NOON, TWO: NOON}
    observer.live_workers(beats, within_seconds=GONE_SECONDS)
    clocks.pass_(away_seconds)
    back = {ONE: clocks.day, TWO: NOON}
    assert observer.live_workers(back, within_seconds=GONE_SECONDS) == {ONE, TWO}, "two has had no chance to beat since"
    assert clocks.watch(observer, back, 45) == {ONE, TWO}
    assert clocks.watch(observer, {ONE: clocks.day, TWO: NOON}, 15) == {ONE}, "it is silent while the database is back"


def test_looks_that_come_late_do_not_keep_a_dead_worker_alive() -> None:
    clocks = Clocks()
    observer = clocks.observer()
    observer.live_workers({ONE: NOON}, within_seconds=GONE_SECONDS)
    for _ in range(6):
        clocks.pass_(10)
        live = observer.live_workers({ONE: NOON}, within_seconds=GONE_SECONDS)
    assert live == set()
