"""The analysis says what its promise says: evidence that may be looked at any time, no pass without samples."""

from __future__ import annotations

import math
import random
from collections import Counter as Tally

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teal.metrics.counters import CounterTotal
from teal.metrics.gates import GATES, USER_ROUTES, Counter, Gate
from teal.ports.metrics import Counts
from teal.release.analysis import BUDGET, Analysis, Judgement, overall
from teal.release.simulate import fisher_greater
from tests.unit.teal.release.ports import counted

USERS = {f"{kind}_users": 1000 for kind in USER_ROUTES}
GOOD = counted(requests=2000, searches=1000, streams=500, model_calls=300, answers=900, claims=900, **USERS)


def judge(target: Counts, active: Counts | None, gates: tuple[Gate, ...] = GATES) -> tuple[Judgement, ...]:
    """One look at a release whose active color did before as it does now."""
    analysis = Analysis(steps=5, minimum=100, history=active, gates=gates)
    analysis.begin_step()
    return analysis.look(target, active)


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
    total = GOOD[gate.total.name]
    worse = counted(**{**GOOD, gate.bad.name: total // 5})
    judged = judge(worse, GOOD)
    assert [one.gate for one in judged if one.verdict == "Failed"] == [gate.name]
    assert overall(judged) == "Failed"
    assert overall(judge(GOOD, worse)) == "Successful", "better than the active color is no failure"


def test_five_percent_errors_are_seen_at_the_smallest_step() -> None:
    judged = judge(counted(requests=100, errors=5), counted(requests=1900, errors=1))
    assert judged[0].verdict == "Failed"
    assert judged[0].p < BUDGET / len(GATES)


def test_a_difference_that_matters_to_nobody_is_no_failure() -> None:
    tiny = judge(counted(requests=10**6, errors=11_900), counted(requests=10**6, errors=10_000))[0]
    assert tiny.p < BUDGET / len(GATES)
    assert tiny.verdict == "Successful"


def test_bad_requests_fail_before_the_minimum_is_reached() -> None:
    early = judge(counted(requests=20, errors=15), counted(requests=400))
    assert overall(early) == "Failed"


@pytest.mark.parametrize(
    ("target", "active"), [(counted(requests=99), GOOD), (GOOD, counted(requests=99)), (counted(), counted()), (counted(), None)]
)
def test_too_few_samples_are_never_a_pass(target: Counts, active: Counts | None) -> None:
    assert overall(judge(target, active)) == "Inconclusive"


def test_a_kind_of_request_that_only_the_active_color_meets_is_inconclusive() -> None:
    silent = counted(**{**GOOD, "streams": 0})
    assert overall(judge(silent, GOOD)) == "Inconclusive"


def test_a_kind_of_request_that_nobody_sends_is_left_out() -> None:
    both = counted(requests=2000)
    judged = judge(both, both)
    assert {one.gate for one in judged if one.verdict == "Absent"} == {gate.name for gate in GATES} - {"errors", "slow"}
    assert overall(judged) == "Successful"


UPLOADS = Gate("uploads", Counter("failed_uploads", CounterTotal("teal_uploads_failed")), Counter("uploads", CounterTotal("teal_uploads")),
               margin=0.01, limit=0.05)  # fmt: skip


@pytest.mark.parametrize("written", [{}, {"uploads": 2000}, {"failed_uploads": 0}])
@pytest.mark.parametrize("active", [True, False])
def test_a_metric_that_nobody_writes_is_inconclusive_and_never_a_pass(written: dict[str, int], active: bool) -> None:
    target = Counts({**GOOD, **written})
    judged = judge(target, target if active else None, gates=(*GATES, UPLOADS))
    assert [one.gate for one in judged if one.verdict == "Inconclusive"] == ["uploads"]
    assert "nobody writes the metric teal_uploads" in judged[-1].reason
    assert overall(judged) == "Inconclusive"


def test_a_new_gate_that_its_metrics_are_written_for_is_judged_like_the_others() -> None:
    active, target = (Counts({**GOOD, "uploads": 2000, "failed_uploads": bad}) for bad in (2, 200))
    judged = judge(target, active, gates=(*GATES, UPLOADS))
    assert [one.gate for one in judged if one.verdict == "Failed"] == ["uploads"]


def test_without_an_active_color_the_limits_hold() -> None:
    assert overall(judge(GOOD, None)) == "Successful"
    assert overall(judge(counted(**{**GOOD, "errors": 100}), None)) == "Failed"


def test_counters_that_were_not_read_at_one_instant_do_not_break_the_test() -> None:
    assert judge(counted(requests=100, errors=101), GOOD)[0].verdict == "Failed"
    assert overall(()) == "Inconclusive"


@pytest.mark.exhaustive
def test_equal_colors_are_not_stopped_by_chance_however_often_they_are_looked_at() -> None:
    """150 releases of 60 looks, 1 % errors and 5 % slow in both colors: 1.5 stopped are what the budget allows, 6 have a chance of 0.4 %."""
    chance, stopped = random.Random(5), 0
    for _ in range(150):
        analysis, seen = Analysis(steps=3, minimum=100, history=counted(requests=2000, errors=20, slow=100)), False
        for requests in (5, 25, 50):
            analysis.begin_step()
            target, active = Tally(), Tally()
            for _ in range(20):
                for counts, arrived in ((target, requests), (active, 100 - requests)):
                    counts["requests"] += arrived
                    counts["errors"] += sum(chance.random() < 0.01 for _ in range(arrived))
                    counts["slow"] += sum(chance.random() < 0.05 for _ in range(arrived))
                seen = seen or overall(analysis.look(counted(**target), counted(**active))) == "Failed"
        stopped += seen
    assert stopped < 6


def test_one_kind_of_request_that_always_fails_does_not_hide_among_the_others() -> None:
    """Uploads are one request in fifty; the new color has 5 % of all and refuses each with 500."""
    target = counted(requests=100, errors=2, searches=98, upload_users=2, upload_users_failed=2, search_users=98)
    active = counted(requests=1900, searches=1862, upload_users=38, search_users=1862)
    analysis, failed, met = Analysis(steps=5, minimum=100, history=active), [], 0
    analysis.begin_step()
    for look in range(1, 20):
        times = {color: counted(**{name: number * look for name, number in counts.items()}) for color, counts in
                 (("target", target), ("active", active))}  # fmt: skip
        failed = [one.gate for one in analysis.look(times["target"], times["active"]) if one.verdict == "Failed"]
        met = 2 * look
        if failed:
            break
    assert "upload: failed" in failed
    assert met <= 6, "users whose upload failed before it was noticed"


def test_a_color_that_turns_bad_when_the_active_one_has_no_users_any_more_is_stopped() -> None:
    analysis = Analysis(steps=2, minimum=100, history=GOOD)
    analysis.begin_step()
    assert overall(analysis.look(GOOD, GOOD)) == "Successful"
    analysis.begin_step()
    assert overall(analysis.look(counted(requests=500, errors=1), counted())) == "Successful"
    failed = [one.gate for one in analysis.look(counted(requests=1000, errors=30), counted()) if one.verdict == "Failed"]
    assert failed == ["errors"]


def test_what_both_colors_refuse_alike_is_no_fault_of_the_new_one() -> None:
    wrong_keys = {"search_users_refused": 400}
    assert overall(judge(counted(**{**GOOD, **wrong_keys}), counted(**{**GOOD, **wrong_keys}))) == "Successful"
    assert overall(judge(counted(**{**GOOD, **wrong_keys}), GOOD)) == "Failed"


def test_a_release_that_mends_a_broken_service_is_judged_like_any_other() -> None:
    """Evidence far below zero must not overflow: the active color fails everything, the new one nothing."""
    analysis = Analysis(steps=2, minimum=100, history=counted(requests=2000))
    analysis.begin_step()
    judged = analysis.look(counted(requests=50_000), counted(requests=50_000, errors=50_000))
    assert (judged[0].verdict, judged[0].p) == ("Successful", 1.0)
