"""Requests are due at their time, whatever the sender did meanwhile: nothing that was missed is left out."""

from __future__ import annotations

import random
import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.arrivals import ArrivalSchedule


def test_due_times_are_evenly_apart_from_the_phase_on() -> None:
    assert ArrivalSchedule(4.0, start=100.0, phase=0.5).due(101.0) == pytest.approx([100.125, 100.375, 100.625, 100.875])


def test_a_sender_that_stalled_is_given_every_moment_it_missed_as_it_was_due() -> None:
    schedule = ArrivalSchedule(2.0, start=0.0)
    assert schedule.due(0.0) == [0.0]
    assert schedule.due(3.2) == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]  # 3 s late: latency counts from these, not from 3.2
    assert schedule.due(3.2) == []
    assert schedule.wait(3.2) == pytest.approx(0.3)


def test_nobody_waits_when_something_is_due() -> None:
    assert ArrivalSchedule(2.0, start=0.0).wait(5.0) == 0.0


@settings(deadline=None)  # up to 150,000 due times: how long they take is the machine's affair
@given(st.floats(0.1, 1000), st.lists(st.floats(0, 5), max_size=30))
def test_however_often_it_is_asked_as_many_are_given_as_fit_in_the_time(per_second: float, naps: list[float]) -> None:
    schedule, now, found = ArrivalSchedule(per_second, start=0.0), 0.0, list[float]()
    for nap in naps:
        now += nap
        found += schedule.due(now)
    assert found == sorted(set(found))
    assert len(found) == (sum(1 for n in range(int(now * per_second) + 2) if n * (1 / per_second) <= now) if naps else 0)


def test_poisson_arrivals_come_at_the_rate_with_exponential_gaps_and_end_in_time() -> None:
    schedule = ArrivalSchedule(50.0, start=0.0, chance=random.Random(1), until=100.0)
    found = schedule.due(1_000.0)
    assert found[-1] < 100.0
    assert len(found) == pytest.approx(5_000, abs=4 * 5_000**0.5)
    gaps = [after - before for before, after in pairwise(found)]
    assert statistics.stdev(gaps) == pytest.approx(
        statistics.fmean(gaps), rel=0.05
    )  # of an exponential distribution they are equal


def test_nothing_is_due_after_the_end() -> None:
    schedule = ArrivalSchedule(2.0, start=0.0, until=1.0)
    assert schedule.due(10.0) == [0.0, 0.5]
    assert schedule.wait(10.0) == 1.0
