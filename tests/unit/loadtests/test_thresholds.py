"""Thresholds are data; a breach is a breach, and too few samples are no pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.measured import Count
from loadtests.shapes import SHAPES
from loadtests.thresholds import (
    DEFAULT,
    Threshold,
    ThresholdFile,
    chance_of_as_many,
    judge_thresholds,
    load_thresholds,
    read_rules,
    worst,
)

FAILED = Threshold(requests="search", at_most_percent=5, why="test")
LATE = Threshold(requests="search", at_most_percent=5, later_than_ms=500, why="test")


def count(requests: int, *, failed: int = 0, late: int = 0) -> Count:
    return Count(requests=requests, failed=failed, ms={500: requests - late, 510: late} if late else {500: requests})


@pytest.mark.parametrize(("percent", "samples"), [(10, 29), (5, 59), (3, 99), (2, 149), (1, 299)])
def test_the_minimum_is_the_published_one(percent: float, samples: int) -> None:
    """59 and 299 are the classic ones for 95 % confidence without a bad sample (Wilks' tolerance limits, one-sided, first order)."""
    assert Threshold(requests="x", at_most_percent=percent, why="test").minimum_samples == samples


@pytest.mark.parametrize(
    ("row", "counted", "outcome"),
    [
        (FAILED, count(100), "kept"),
        (FAILED, count(100, failed=5), "kept"),  # at most
        (FAILED, count(100, failed=6), "breached"),
        (LATE, count(100, late=5), "kept"),
        (LATE, count(100, late=6), "breached"),
        (LATE, count(100), "kept"),  # 500 ms is not later than 500 ms
        (FAILED, count(58), "too few"),
        (FAILED, count(59), "kept"),
        (FAILED, count(58, failed=3), "too few"),  # 5.2 %: as likely by chance
        (FAILED, count(10, failed=10), "breached"),  # a dead service answers few
        (FAILED, count(3, failed=1), "too few"),
    ],
)
def test_a_row_is_kept_breached_or_not_to_be_said(row: Threshold, counted: Count, outcome: str) -> None:
    (verdict,) = judge_thresholds([row], {"search": counted})
    assert (verdict.outcome, verdict.samples) == (outcome, counted.requests)


def test_what_nobody_sent_is_too_few_and_not_kept() -> None:
    (verdict,) = judge_thresholds([FAILED], {})
    assert (verdict.outcome, verdict.samples) == ("too few", 0)


def test_a_breach_outweighs_too_few_and_too_few_outweigh_kept() -> None:
    rows = [FAILED, Threshold(requests="ask", at_most_percent=5, why="test")]
    assert worst(judge_thresholds(rows, {"search": count(100, failed=50)})) == "breached"
    assert worst(judge_thresholds(rows, {"search": count(100)})) == "too few"
    assert worst(judge_thresholds(rows, {"search": count(100), "ask": count(100)})) == "kept"
    assert worst(()) == "too few"  # no row, no pass


def test_the_chance_is_the_binomial_s() -> None:
    assert chance_of_as_many(0, 10, 0.05) == pytest.approx(1.0)
    assert chance_of_as_many(1, 1, 0.05) == pytest.approx(0.05)
    assert chance_of_as_many(2, 20, 0.05) == pytest.approx(0.2641605, abs=1e-7)  # 1 - 0.95^20 - 20 * 0.05 * 0.95^19


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_rows_for_both_kinds_of_questions(shape: str) -> None:
    rows = load_thresholds(DEFAULT, shape)
    assert {"search", "ask, first event", "ask, end"} <= {row.requests for row in rows}
    # Only `users` shapes of the usual mix have a health probe: the row would never have samples elsewhere.
    assert any(row.requests == "health" for row in rows) == (SHAPES[shape].kind == "users" and not SHAPES[shape].mix)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("thresholds: []", "at least 1 item"),
        ("thresholds: [{requests: search, at_most_percent: 5}]", r"thresholds\.0\.why"),
        ("thresholds: [{requests: search, at_most_percent: 5, why: x, p99: 3}]", r"thresholds\.0\.p99"),
        ("thresholds: [{requests: search, at_most_percent: 0, why: x}]", r"thresholds\.0\.at_most_percent"),
        ("a: [", "while parsing"),
    ],
)
def test_a_file_that_is_none_is_refused_by_the_row(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "thresholds.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        load_thresholds(path, "smoke")


def test_a_row_about_what_nobody_of_the_run_sends_is_left_out() -> None:
    rules = read_rules(DEFAULT)
    assert {row.requests for row in rules.of("hot-key", ("search",))} == {"search"}
    assert "health" in {row.requests for row in rules.of("smoke")}


def test_the_limits_of_a_good_answer_are_the_strictest_of_each_name() -> None:
    rows = (LATE, LATE.model_copy(update={"later_than_ms": 300}), FAILED)
    assert ThresholdFile(thresholds=rows).slos() == {"search": 0.3}
