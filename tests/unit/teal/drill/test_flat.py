"""Flat memory and descriptors: slopes of known series, over processes that faults restart."""

from __future__ import annotations

import random

import pytest

from teal.drill.flat import (
    DESCRIPTORS_PER_HOUR,
    MEMORY_MB_PER_HOUR,
    Growth,
    Point,
    Sample,
    growths,
    pair_slopes,
    slope_across,
    slope_within,
)

EVERY = 10.0  # seconds between two measurements
HOUR = 3600.0


def _life(began: float, seconds: float, *, part: str = "blue-app-0", level: float = 100.0, hourly: float = 0.0,
          noise: float = 0.0, descriptors_hourly: float = 0.0) -> list[Sample]:  # fmt: skip
    """One process: it needs 80 MB less at its first measurement, and grows by `hourly` MB an hour."""
    chance = random.Random(f"{began} {part}")
    return [
        Sample(began + age, part, int(began) + 1, began, level - (80.0 if age == 0 else 0.0) + hourly * age / HOUR + chance.gauss(0, noise),
               round(30 + descriptors_hourly * age / HOUR))
        for age in (number * EVERY for number in range(int(seconds / EVERY)))
    ]  # fmt: skip


def _of(found: tuple[Growth, ...], quantity: str, part: str = "app-0") -> Growth:
    (one,) = (one for one in found if (one.part, one.quantity) == (part, quantity))
    return one


def test_the_slope_of_a_straight_line_is_its_slope_and_close_pairs_are_left_out() -> None:
    assert pair_slopes([(0, 1), (10, 3), (40, 9)], 15.0) == [pytest.approx(0.2), pytest.approx(0.2)]
    assert pair_slopes([(0, 1), (0, 2)], 1.0) == []


def test_an_outlier_and_a_step_do_not_move_the_slope_within_a_process() -> None:
    flat: list[Point] = [(number * EVERY, 100.0) for number in range(30)]
    flat[7] = (70.0, 900.0)
    flat[28:] = [(280.0, 130.0), (290.0, 130.0)]
    assert slope_within([flat]) == 0.0


def test_levels_of_processes_are_not_compared_within_and_a_restart_is_no_growth() -> None:
    samples = [one for number in range(6) for one in _life(number * 500.0, 480.0, level=100.0 if number % 2 else 140.0)]
    found = _of(growths(samples), "memory")
    assert (found.generations, found.within_per_hour, found.reasons) == (6, 0.0, ())


def test_a_process_that_grows_is_told_also_when_each_is_restarted_soon() -> None:
    samples = [one for number in range(8) for one in _life(number * 500.0, 480.0, hourly=60.0, noise=0.2)]
    found = _of(growths(samples), "memory")
    assert found.within_per_hour == pytest.approx(60, abs=10)
    assert "app-0: memory of a process grows by" in found.reasons[0]


def test_noise_of_flat_processes_is_no_growth() -> None:
    samples = [one for number in range(8) for one in _life(number * 500.0, 480.0, noise=1.0)]
    found = _of(growths(samples), "memory")
    assert found.within_per_hour is not None
    assert abs(found.within_per_hour) < MEMORY_MB_PER_HOUR
    assert found.reasons == ()


def test_new_processes_that_are_each_higher_than_the_last_are_told() -> None:
    samples = [one for number in range(8) for one in _life(number * 200.0, 180.0, level=100.0 + 4 * number)]
    found = _of(growths(samples), "memory")
    assert (found.within_per_hour, found.across_is_accident) == (None, False)  # none lived long enough to settle
    assert found.across_per_hour == pytest.approx(72.0)
    assert "each new process is higher" in found.reasons[0]


def test_one_high_process_among_many_is_an_accident() -> None:
    levels = [(number * 200.0, value) for number, value in enumerate((100.0, 101.0, 99.0, 130.0, 100.5, 100.2))]
    slope, accident = slope_across(levels)
    assert slope is not None
    assert accident


def test_descriptors_that_are_never_closed_are_told() -> None:
    found = _of(growths(_life(0.0, 1200.0, descriptors_hourly=60.0)), "descriptors")
    assert found.within_per_hour is not None
    assert found.within_per_hour > DESCRIPTORS_PER_HOUR
    assert "descriptors of a process grows" in found.reasons[0]


def test_both_colors_are_one_part_and_a_process_that_never_warmed_up_is_left_out() -> None:
    samples = _life(0.0, 300.0) + _life(400.0, 300.0, part="green-app-0") + _life(0.0, 40.0, part="blue-worker")
    assert [(one.part, one.generations) for one in growths(samples)] == [("app-0", 2), ("app-0", 2)]


def test_growth_of_less_than_an_arena_of_memory_is_noise_however_steep() -> None:
    found = _of(growths(_life(0.0, 300.0, hourly=60.0)), "memory")  # 2 MB in two minutes
    assert (found.within_is_noise, found.reasons) == (True, ())


def test_what_lived_too_short_is_not_judged_unless_it_was_a_command_that_ended() -> None:
    found = growths(_life(0.0, 400.0, part="caddy") + _life(300.0, 100.0) + _life(10.0, 100.0, part="snapshot"))
    assert [(one.part, one.judged) for one in found if one.quantity == "memory"] == [
        ("app-0", False),
        ("caddy", True),
        ("snapshot", True),
    ]
    assert (_of(found, "memory").within_per_hour, _of(found, "memory").reasons) == (None, ())
