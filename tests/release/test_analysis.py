"""The analysis says what its promise says: exact numbers, no pass without samples."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teal.metrics.port import Counts
from teal.release.analysis import EARLY_LEVEL, GATES, LEVEL, fisher_greater, judge, overall

GOOD = Counts(requests=2000, searches=1000, streams=500, model_calls=300)


@pytest.mark.parametrize(
    ("table", "p"),
    [
        # Fisher's tea (The Design of Experiments, 1935): 3 of 4 cups right gives 17/70, all four 1/70.
        ((3, 4, 1, 4), 17 / 70),
        ((4, 4, 0, 4), 1 / 70),
        # Convicted twins (Fisher 1935): 10 of 13 monozygotic against 2 of 17 dizygotic: 0.000465.
        ((10, 13, 2, 17), 0.000465),
        ((0, 50, 0, 50), 1.0),
        ((0, 50, 7, 50), 1.0),
        ((50, 50, 50, 50), 1.0),
    ],
)
def test_published_tables_are_met(table: tuple[int, int, int, int], p: float) -> None:
    assert fisher_greater(*table) == pytest.approx(p, abs=5e-7)


@given(total=st.integers(0, 40), reference_total=st.integers(0, 40), data=st.data())
def test_the_tail_is_the_sum_of_whole_number_counts(total: int, reference_total: int, data: st.DataObject) -> None:
    bad, reference_bad = data.draw(st.integers(0, total)), data.draw(st.integers(0, reference_total))
    all_bad = bad + reference_bad
    ways = [math.comb(total, k) * math.comb(reference_total, all_bad - k) for k in range(bad, min(total, all_bad) + 1)]
    assert fisher_greater(bad, total, reference_bad, reference_total) == pytest.approx(
        sum(ways) / math.comb(total + reference_total, all_bad), rel=1e-9
    )


def test_a_million_samples_are_judged_without_overflow() -> None:
    assert fisher_greater(1_000, 1_000_000, 1_000, 1_000_000) == pytest.approx(0.51, abs=0.02)
    assert fisher_greater(50_000, 1_000_000, 1_000, 1_000_000) == pytest.approx(0.0, abs=1e-300)


@pytest.mark.parametrize("table", [(5, 4, 0, 4), (0, 4, -1, 4)])
def test_what_is_no_count_is_refused(table: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="not counts"):
        fisher_greater(*table)


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_each_gate_fails_on_its_own_counter(gate) -> None:  # type: ignore[no-untyped-def]
    total = getattr(GOOD, gate.total)
    worse = replace(GOOD, **{gate.bad: total // 5})
    judged = judge(worse, GOOD, minimum=100, last_look=True)
    assert [one.gate for one in judged if one.verdict == "Failed"] == [gate.name]
    assert overall(judged) == "Failed"
    assert overall(judge(GOOD, worse, minimum=100, last_look=True)) == "Successful", "better than the active color is no failure"


def test_five_percent_errors_are_seen_at_the_smallest_step() -> None:
    judged = judge(Counts(requests=100, errors=5), Counts(requests=1900, errors=1), minimum=100, last_look=False)
    assert judged[0].verdict == "Failed"
    assert judged[0].p < EARLY_LEVEL < LEVEL


def test_a_difference_that_matters_to_nobody_is_no_failure() -> None:
    tiny = judge(Counts(requests=10**6, errors=1_500), Counts(requests=10**6, errors=1_000), minimum=100, last_look=True)[0]
    assert tiny.p < LEVEL
    assert tiny.verdict == "Successful"


def test_bad_requests_fail_before_the_minimum_is_reached() -> None:
    early = judge(Counts(requests=20, errors=15), Counts(requests=400), minimum=100, last_look=False)
    assert overall(early) == "Failed"


@pytest.mark.parametrize(
    ("target", "active"), [(Counts(requests=99), GOOD), (GOOD, Counts(requests=99)), (Counts(), Counts()), (Counts(), None)]
)
def test_too_few_samples_are_never_a_pass(target: Counts, active: Counts | None) -> None:
    assert overall(judge(target, active, minimum=100, last_look=True)) == "Inconclusive"


def test_a_kind_of_request_that_only_the_active_color_meets_is_inconclusive() -> None:
    silent = replace(GOOD, streams=0)
    assert overall(judge(silent, GOOD, minimum=100, last_look=True)) == "Inconclusive"


def test_a_kind_of_request_that_nobody_sends_is_left_out() -> None:
    both = Counts(requests=2000)
    judged = judge(both, both, minimum=100, last_look=True)
    assert {one.gate for one in judged if one.verdict == "Absent"} == {"empty retrieval", "model 429", "broken streams"}
    assert overall(judged) == "Successful"


def test_without_an_active_color_the_limits_hold() -> None:
    assert overall(judge(GOOD, None, minimum=100, last_look=True)) == "Successful"
    assert overall(judge(replace(GOOD, errors=100), None, minimum=100, last_look=True)) == "Failed"


def test_counters_that_were_not_read_at_one_instant_do_not_break_the_test() -> None:
    assert judge(Counts(requests=100, errors=101), GOOD, minimum=100, last_look=True)[0].verdict == "Failed"
    assert overall(()) == "Inconclusive"


def test_equal_colors_are_stopped_by_chance_less_often_than_the_level_says() -> None:
    """The sum over every outcome of 200 requests at 2 % in each color: the probability of a false alarm at the last look."""
    n, share = 200, 0.02
    chance = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(25)]
    alarms = sum(
        chance[a] * chance[b]
        for a in range(25)
        for b in range(25)
        if judge(Counts(requests=n, errors=a), Counts(requests=n, errors=b), minimum=100, last_look=True)[0].verdict == "Failed"
    )
    assert alarms <= LEVEL
