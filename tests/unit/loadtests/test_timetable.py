"""Every moment of a run is in one stage of one repetition, or in a wait that is said to be one."""

from __future__ import annotations

from dataclasses import replace

from loadtests.shapes import SHAPES, Shape, ShapeStage
from loadtests.timetable import Timetable

TWO = Shape("x", "arrivals", "", (ShapeStage(10, 5), ShapeStage(10, 50)))


def test_repetitions_and_a_warm_up_are_passes_through_the_same_stages() -> None:
    found = Timetable(replace(TWO, warm_up_seconds=4, repeat=2))
    assert found.ends_at == found.planned_seconds == 44
    assert [found.where(at) for at in (0, 4, 14, 24, 34, 44)] == [(0, None), (0, 0), (0, 1), (1, 0), (1, 1), (0, None)]
    assert [found.level(at) for at in (0, 23.9, 24, 44)] == [5, 50, 5, None]
    assert [found.next_end(at) for at in (0, 4, 14, 24, 34, 44)] == [4, 14, 24, 34, 44, None]
    assert not found.waits(24)


def test_a_climb_that_ended_has_no_load_until_the_next_one_begins_with_its_first_stage() -> None:
    found = Timetable(replace(TWO, each_stage=True, repeat=2))
    found.end_repetition(12.5)
    assert [found.level(at) for at in (12, 12.5, 19)] == [50, 0, 0]
    assert (found.where(12.5), found.waits(12.5), found.next_end(13), found.ends_at) == ((0, None), True, None, float("inf"))
    found.begin_repetition(19.0)
    assert [found.where(at) for at in (18.9, 19, 29, 39)] == [(0, None), (1, 0), (1, 1), (0, None)]
    assert (found.level(19), found.level(39), found.ends_at, found.waits(39)) == (5, None, 39.0, False)


def test_a_climb_to_the_top_waits_as_well() -> None:
    found = Timetable(replace(TWO, each_stage=True, repeat=3))
    assert (found.level(20), found.waits(19.9), found.waits(20)) == (0, False, True)
    assert found.planned_seconds == 60


def test_a_single_climb_that_ends_early_ends_the_run() -> None:
    found = Timetable(SHAPES["step"])
    found.end_repetition(95.0)
    assert (found.level(95.0), found.ends_at) == (None, 95.0)


def test_a_run_that_nobody_watches_any_more_ends_at_once() -> None:
    found = Timetable(replace(TWO, each_stage=True, repeat=3))
    found.end_run(12.0)
    assert (found.ends_at, found.level(12.0), found.waits(12.0), found.where(11.9)) == (12.0, None, False, (0, 1))
    between = Timetable(replace(TWO, each_stage=True, repeat=3))
    between.end_run(25.0)  # while the service drains
    assert (between.ends_at, between.level(25.0), between.waits(25.0)) == (20, None, False)
