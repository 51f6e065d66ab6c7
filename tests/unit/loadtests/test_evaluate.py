"""What a run's measurements mean: a late generator is void, an exception is a failed run, goodput has its interval, a baseline gates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadtests import bottleneck, compare, evaluate, history, report
from loadtests.goodput import interval
from loadtests.measured import (
    SEARCH,
    Count,
    GeneratorHealth,
    Interval,
    LoadTestResult,
    MeasuredWindow,
    ServiceObservation,
    TaskException,
)
from loadtests.shapes import ShapeStage
from loadtests.thresholds import BaselineLimit, Threshold, ThresholdFile

RULES = ThresholdFile(thresholds=(Threshold(requests=SEARCH, at_most_percent=5, later_than_ms=500, why="test"),))


def run(*stages: tuple[int, GeneratorHealth], ms: int = 20, repeat: int = 1, **fields: Any) -> LoadTestResult:
    """Each stage is 20 windows of a second with ten searches; `stages`: its level and what the generator did in each of them."""
    windows, at = list[MeasuredWindow](), 0
    for repetition in range(repeat):
        for number, (_, own) in enumerate(stages):
            for _ in range(20):
                counts = {SEARCH: Count(requests=10, ms={ms: 10})}
                windows.append(
                    MeasuredWindow(
                        from_seconds=at,
                        to_seconds=at + 1,
                        stage=number,
                        users=1,
                        counts=counts,
                        generator=own,
                        repetition=repetition,
                    )
                )
                at += 1
    plan = tuple(ShapeStage(20, level) for level, _ in stages)
    measured = LoadTestResult(shape="step", kind="arrivals", plan=plan, host="h", began=1_000.0, seconds=float(at), windows=windows, repeat=repeat,
                      **{"each_stage": True, **fields})  # fmt: skip
    return evaluate.with_verdicts(measured, RULES, measured.seen, {})


ON_TIME = GeneratorHealth(late_ms={1: 10}, lag_ms={2: 20}, good=9, sent={SEARCH: 10}, answered={SEARCH: 10})
LATE = GeneratorHealth(late_ms={1: 10}, lag_ms={130: 20}, good=9)


def test_a_stage_with_a_late_generator_is_void_and_never_the_limit_of_the_service() -> None:
    found = run((10, ON_TIME), (20, LATE), (30, ON_TIME))
    assert [stage.outcome for stage in found.stages] == ["kept", "void", "kept"]
    assert found.stages[1].why == "the generator was late: p99 130 ms, at most 50 ms; its CPU 0 %"
    assert (found.outcome, found.goodput_level) == ("kept", 10)
    assert "the load generator" in found.bottleneck


def test_a_run_that_is_no_search_for_the_limit_is_void_as_a_whole() -> None:
    assert run((10, LATE), each_stage=False).outcome == "void"
    assert run((10, LATE), ms=900, each_stage=False).outcome == "void"  # slow, or late? nobody can say


def test_no_verdict_of_a_void_run_says_that_anything_was_kept() -> None:
    found = run((10, LATE), each_stage=False)
    assert [(one["outcome"], one["samples"]) for one in found.verdicts] == [("void", 200)]


def test_every_verdict_of_a_void_run_is_void_if_only_one_stage_is() -> None:
    found = run((10, ON_TIME), (50, LATE), ms=900, each_stage=False)
    assert (found.outcome, [one["outcome"] for one in found.verdicts]) == ("void", ["void"])


def test_a_search_that_is_void_in_its_first_stage_is_void_though_a_later_one_was_kept() -> None:
    found = run((10, LATE), (20, ON_TIME))
    assert (found.outcome, [one["outcome"] for one in found.verdicts]) == ("void", ["void"])


def test_a_void_run_has_no_goodput_that_somebody_could_compare() -> None:
    found = run((10, ON_TIME), (50, LATE), each_stage=False)
    assert found.goodput is None
    assert "Goodput" not in report.sentence(found)
    assert run((10, LATE), (50, LATE)).goodput is None


def test_a_stage_that_is_too_short_to_be_judged_by_itself_says_so_and_counts_in_the_whole() -> None:
    found = run((10, ON_TIME), (50, ON_TIME), each_stage=False)
    plan = (found.plan[0], ShapeStage(4, 50))
    short = found.model_copy(update={"plan": plan, "windows": [one for one in found.windows if one.from_seconds < 24]})
    judged = evaluate.with_verdicts(short, RULES, (), {})
    assert [one.outcome for one in judged.stages] == ["kept", "too few"]
    assert judged.stages[1].why == "it has 4 s, and a stage's first 5 s only count for the run as a whole"
    assert (judged.outcome, judged.verdicts[0]["samples"]) == ("kept", 240)


def test_what_the_generator_could_not_send_is_its_own_lack() -> None:
    found = run((10, GeneratorHealth(not_sent={"search: EMFILE: Too many open files": 2}, late_ms={1: 10})))
    assert (found.outcome, found.stages[0].why) == (
        "void",
        "the generator could not send: 40 x search: EMFILE: Too many open files",
    )


@pytest.mark.parametrize(
    "fields",
    [{"exceptions": [TaskException(message="KeyError", count=2)]}, {"lost_workers": 1}],
)
def test_a_run_in_which_the_load_test_itself_broke_has_failed_whatever_it_counted(fields: dict[str, Any]) -> None:
    assert run((10, ON_TIME), **fields).outcome == "failed"


def test_a_run_whose_greenlets_died_has_failed() -> None:
    assert run((10, ON_TIME.model_copy(update={"died": 1}))).outcome == "failed"


def test_goodput_at_the_knee_is_the_mean_of_the_repetitions() -> None:
    found = run((10, ON_TIME), (20, LATE), repeat=3)
    assert found.goodput is not None
    assert (found.goodput.mean, found.goodput.low, found.goodput.high, found.goodput.repetitions) == (9.0, 9.0, 9.0, 3)


def test_the_wait_for_the_last_answers_makes_goodput_no_smaller() -> None:
    found = run((10, ON_TIME), each_stage=False)
    last = MeasuredWindow(from_seconds=20, to_seconds=26, stage=None, users=0, counts={}, generator=GeneratorHealth(good=1))
    waited = evaluate.with_verdicts(found.model_copy(update={"windows": [*found.windows, last]}), RULES, (), {})
    assert waited.goodput is not None
    assert waited.goodput.mean == 9.0


def test_a_rate_is_of_the_seconds_in_which_it_was_counted_and_not_of_the_warm_up() -> None:
    found = run((10, ON_TIME), each_stage=False)
    warm = [one.model_copy(update={"stage": None, "warm_up": True}) for one in found.windows[:10]]
    warmed = found.model_copy(update={"windows": [*warm, *found.windows[10:]]})
    (row,) = report.report_rows(warmed)
    assert (row.requests, row.per_second) == (100, 10.0)


def test_rates_are_of_the_seconds_that_workers_had_reported_when_a_stage_ended() -> None:
    found = run((20, ON_TIME.model_copy(update={"covered_seconds": 0.5})))
    assert found.stages[0].questions_per_second == 20
    assert found.stages[0].goodput is not None
    assert found.stages[0].goodput.mean == 18


def test_the_interval_is_student_s() -> None:
    """Mean 10, standard deviation 2, n = 3: 10 +- 4.303 * 2 / sqrt(3)."""
    found = interval([8.0, 10.0, 12.0])
    assert (found.mean, found.low, found.high) == (10.0, pytest.approx(5.031, abs=1e-3), pytest.approx(14.969, abs=1e-3))
    assert interval([8.0]).low is None


def test_sentences_agree_with_the_tables() -> None:
    said = report.sentence(run((10, ON_TIME), (20, LATE)))
    assert said.startswith("Every threshold was kept at 10 requests a second, and 20 a second was void: the generator was late")
    assert "Goodput, answers within every limit: 9.0 a second (one repetition, so no interval)" in said


def test_a_first_stage_without_samples_enough_had_too_few_and_was_not_too_few() -> None:
    found = run((10, ON_TIME), (20, ON_TIME))
    few = evaluate.with_verdicts(found.model_copy(update={"windows": found.windows[:6]}), RULES, (), {})
    assert few.outcome == "too few"
    assert report.sentence(few).startswith("The first stage, 10 requests a second, had too few samples to say. Goodput")


@pytest.mark.parametrize(
    ("now_ms", "then_ms", "outcome"), [(20, 20, "kept"), (25, 20, "kept"), (27, 20, "breached"), (10, 20, "kept")]
)
def test_a_baseline_gates_at_1_3_times_its_p95(now_ms: int, then_ms: int, outcome: str) -> None:
    (verdict,) = compare.compare_runs(run((10, ON_TIME), ms=now_ms), run((10, ON_TIME), ms=then_ms), BaselineLimit())
    assert verdict.outcome == outcome


@pytest.mark.parametrize(
    ("now", "then", "outcomes"),
    [
        (interval([8.0, 8.1, 8.2]), interval([9.0, 9.1, 9.2]), ["breached"]),
        (interval([8.0, 9.0, 10.0]), interval([9.0, 9.1, 9.2]), ["kept"]),  # chance may make it
        (interval([9.0, 9.1, 9.2]), interval([8.0, 8.1, 8.2]), ["kept"]),
        (interval([8.0, 8.1]), interval([9.0, 9.1, 9.2]), []),
        (interval([8.0]), interval([9.0]), []),
    ],
)
def test_a_goodput_whose_whole_interval_is_below_the_baseline_s_is_a_breach(
    now: Interval, then: Interval, outcomes: list[str]
) -> None:
    assert [one.outcome for one in compare.compare_goodput(now, then, same=True)] == outcomes
    assert compare.compare_goodput(now, then, same=False) == ()


def test_goodput_gates_a_run_as_a_whole() -> None:
    slower = GeneratorHealth(late_ms={1: 10}, lag_ms={2: 20}, good=5, sent={SEARCH: 10}, answered={SEARCH: 10})
    then, now = run((10, ON_TIME), repeat=3, each_stage=False), run((10, slower), repeat=3, each_stage=False)
    judged = evaluate.with_verdicts(now, RULES, (), {}, then)
    assert (now.outcome, judged.outcome) == ("kept", "breached")
    assert judged.verdicts[-1]["says"].startswith("goodput: 5.0 a second (5.0 to 5.0), the baseline's 9.0")


def test_another_shape_is_no_baseline() -> None:
    (verdict,) = compare.compare_runs(run((10, ON_TIME), ms=900), run((20, ON_TIME)), BaselineLimit())
    assert verdict.outcome == "too few"


def test_fisher_s_test_is_exact() -> None:
    """Fisher's tea: 3 of 4 right, one-sided p = 17/70."""
    assert compare.fisher_p_value(3, 4, 1, 4) == pytest.approx(17 / 70)
    assert compare.fisher_p_value(0, 100, 5, 100) == pytest.approx(1.0)


def test_a_difference_that_chance_may_make_is_no_breach() -> None:
    def one(late: int) -> LoadTestResult:
        result = run((10, ON_TIME))
        late_window = result.windows[0].model_copy(update={"counts": {SEARCH: Count(requests=late, ms={100: late})}})
        return result.model_copy(update={"windows": [*result.windows[1:], late_window]})

    then = run((10, ON_TIME))
    (few,) = compare.compare_runs(one(11), then, BaselineLimit())
    assert few.bad > 0.05 * few.samples
    assert few.outcome == "breached"  # none of the baseline's 200 was late: eleven are no chance
    (none,) = compare.compare_runs(one(9), then, BaselineLimit())
    assert none.outcome == "kept"


def test_a_history_keeps_one_line_a_run_and_gives_those_of_the_same_shape_and_place(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    first = run((10, ON_TIME))
    later = first.model_copy(update={"began": 2_000.0})
    history.append_run(path, later.model_copy(update={"shape": "smoke"}))
    assert [one.began for one in history.append_run(path, first)] == [1_000.0]
    history.append_run(path, first)  # reported again
    assert [one.began for one in history.append_run(path, later)] == [1_000.0, 2_000.0]
    assert len(path.read_text().splitlines()) == 3


def test_the_part_whose_cpu_is_full_is_named_with_its_number() -> None:
    looks = [
        ServiceObservation(
            at=1_000.0 + second, replicas=2, cpu_seconds=1.9 * second, cpu={"app": 1.9 * second, "redis": 0.1 * second}
        )
        for second in range(21)
    ]
    assert run((10, ON_TIME), seen=looks).bottleneck == "the CPU of app: 0.95 cores a process at 10 requests a second"


def test_where_the_time_goes_is_named_by_the_service_s_own_timing() -> None:
    own = ON_TIME.model_copy(update={"server_ms": {"embed": 80.0, "search": 10.0, "total": 100.0}, "server_timed": 10})
    assert bottleneck.where_time_goes(run((10, own))) == "embed takes 80 % of an answer's time: 8 ms on average"
