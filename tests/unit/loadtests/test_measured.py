"""Samples become windows, windows become stages, and the numbers stay what was counted."""

from __future__ import annotations

import pytest

from loadtests import evaluate
from loadtests.measured import FIRST_EVENT, SEARCH, Count, LoadTestResult, RunSample, ServiceObservation, total, windows
from loadtests.shapes import SETTLE_SECONDS, ShapeStage
from loadtests.thresholds import Threshold, ThresholdFile

RULES = ThresholdFile(thresholds=(Threshold(requests=SEARCH, at_most_percent=5, later_than_ms=500, why="test"),))


def samples(*levels: int, seconds: int = 20, late_from: int = 1_000) -> list[RunSample]:
    """One a second; `levels`: searches a second of each stage. From `late_from` seconds on, all are late."""
    found, counted, at = [RunSample(at_seconds=0, stage=0, users=1, counts={})], Count(), 0
    for stage, per_second in enumerate(levels):
        for _ in range(seconds):
            at += 1
            taken = 900 if at > late_from else 10
            counted = counted.plus(Count(requests=per_second, ms={taken: per_second}))
            ended = at == seconds * (stage + 1)
            following = stage + 1 if ended else stage
            found.append(
                RunSample(at_seconds=at, stage=following if following < len(levels) else None, users=1, counts={SEARCH: counted})
            )
    return found


def result(*levels: int, shape: str = "step", seen: tuple[ServiceObservation, ...] = (), **options: int) -> LoadTestResult:
    measured = LoadTestResult(shape=shape, kind="arrivals", plan=tuple(ShapeStage(20, level) for level in levels), host="h", began=1_000.0,
                      seconds=20.0 * len(levels), windows=windows(samples(*levels, **options)), each_stage=shape == "step")  # fmt: skip
    return evaluate.with_verdicts(measured, RULES, seen, {})


def test_windows_hold_what_came_between_two_samples_and_together_everything() -> None:
    found = windows(samples(5, 10))
    assert {one.counts[SEARCH].requests for one in found[:20]} == {5}
    assert {one.stage for one in found[:20]} == {0}
    assert {one.stage for one in found[20:]} == {1}
    assert total(found)[SEARCH] == Count(requests=300, ms={10: 300})


@pytest.mark.parametrize(("share", "value"), [(0.5, 10.0), (0.9, 10.0), (0.95, 200.0), (0.99, 200.0), (1.0, 3000.0)])
def test_percentiles_are_those_of_the_histogram(share: float, value: float) -> None:
    assert Count(requests=1000, ms={10: 900, 200: 95, 3000: 5}).percentile_ms(share) == value


def test_nothing_has_no_percentile() -> None:
    assert Count().percentile_ms(0.5) is None


def test_a_stage_is_judged_without_its_first_seconds() -> None:
    found = result(10, 20)
    assert [stage.seconds for stage in found.stages] == [20 - SETTLE_SECONDS] * 2
    assert [stage.questions_per_second for stage in found.stages] == [10.0, 20.0]
    assert [stage.outcome for stage in found.stages] == ["kept", "kept"]


def test_a_step_run_that_found_its_limit_is_kept_and_one_that_kept_nothing_is_breached() -> None:
    beyond = result(10, 20, late_from=20)
    assert [stage.outcome for stage in beyond.stages] == ["kept", "breached"]
    # The verdicts are about the stage that was found, so that no row says breached below a headline that says kept.
    assert (beyond.outcome, beyond.verdicts[0]["outcome"], beyond.verdicts[0]["samples"]) == ("kept", "kept", 150)
    assert beyond.goodput_level == 10
    assert result(10, late_from=0).outcome == "breached"
    assert result(10, 20, shape="release", late_from=20).outcome == "breached"


def test_asks_are_questions_once_each_by_their_first_event() -> None:
    measured = LoadTestResult(
        shape="step", kind="arrivals", plan=(ShapeStage(20, 10),), host="h", began=0.0, seconds=20.0, windows=windows(samples(7))
    )
    for window in measured.windows:
        window.counts[FIRST_EVENT] = Count(requests=3, ms={5: 3})
    assert evaluate.with_verdicts(measured, RULES, (), {}).stages[0].questions_per_second == 10.0


def test_cpu_of_a_replica_is_what_all_used_in_the_stage() -> None:
    looks = tuple(ServiceObservation(at=1_000.0 + second, replicas=2, cpu_seconds=100 + 0.8 * second) for second in range(41))
    assert [stage.cpu_per_replica for stage in result(10, 20, seen=looks).stages] == [pytest.approx(0.4)] * 2


def test_cpu_is_unknown_where_processes_changed_or_nobody_looked() -> None:
    looks = tuple(
        ServiceObservation(at=1_000.0 + second, replicas=2 if second < 10 else 4, cpu_seconds=float(second))
        for second in range(41)
    )
    assert [(stage.cpu_per_replica is None, stage.replicas) for stage in result(10, 20, seen=looks).stages] == [
        (True, 4),
        (False, 4),
    ]
    assert [(stage.cpu_per_replica, stage.replicas) for stage in result(10).stages] == [(None, None)]
