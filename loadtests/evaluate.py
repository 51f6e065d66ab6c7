"""Turns measurements into a result: verdicts for the run and each stage, goodput at the knee,
and the observations of the operator's command. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from loadtests import bottleneck, compare
from loadtests.goodput import goodput
from loadtests.measured import (
    QUESTIONS,
    Count,
    LoadTestResult,
    MeasuredWindow,
    Outcome,
    ServiceObservation,
    StageResult,
    generator_health,
    total,
)
from loadtests.shapes import SETTLE_SECONDS
from loadtests.thresholds import Threshold, ThresholdFile, Verdict, judge_thresholds, worst, worst_of


def with_verdicts(
    measured: LoadTestResult,
    rules: ThresholdFile,
    seen: Sequence[ServiceObservation],
    about: dict[str, object],
    baseline: LoadTestResult | None = None,
) -> LoadTestResult:
    """The measurements with verdicts for the whole run and for each stage."""
    rows = rules.of(measured.shape, measured.sends)
    stages = [_stage(measured, number, rules, rows, seen) for number in range(len(measured.plan))]
    best = last_kept_stage(stages) if measured.each_stage else None
    judged = _judged(measured, stages, best)
    verdicts = judge_thresholds(rows, total(judged))
    if stages and all(stage.outcome == "void" for stage in stages):
        # What is left to judge is the wait for the last answers: no verdict of a void run may say "kept".
        whole = judge_thresholds(rows, total(one for one in measured.windows if not one.warm_up))
        verdicts = tuple(replace(one, outcome="void") for one in whole)
    # Without the wait for the last answers, which belongs to no repetition and would make goodput look smaller.
    passes = [[one for one in judged if one.repetition == number and one.stage is not None] for number in range(measured.repeat)]
    good = goodput(passes)
    compared: tuple[Verdict, ...] = ()
    if baseline is not None:
        same = compare.is_comparable(measured, baseline)
        compared = compare.compare_runs(measured, baseline, rules.baseline)
        compared += compare.compare_goodput(good, baseline.goodput, same=same)
    outcome, why = _outcome(measured, stages, best, [*verdicts, *compared])
    found = measured.model_copy(
        update={
            "verdicts": [asdict(one) for one in (*verdicts, *compared)],
            "stages": stages,
            "seen": list(seen),
            "about": about,
            "goodput": good,
            "goodput_level": stages[best].level if best is not None else None,
            "outcome": outcome,
            "why": why,
        }
    )
    return found.model_copy(update={"bottleneck": bottleneck.name(found)})


def last_kept_stage(stages: Sequence[StageResult]) -> int | None:
    """The last stage before the first that was not kept, or the first stage if it was not kept; None without stages.

    A void stage also ends the search, because a late generator sent everything after it.
    """
    for number, stage in enumerate(stages):
        if stage.outcome != "kept":
            return max(0, number - 1)
    return len(stages) - 1 if stages else None


def _judged(measured: LoadTestResult, stages: Sequence[StageResult], best: int | None) -> list[MeasuredWindow]:
    """The windows that the verdicts are about:
    for a search for the limit those of the stage that it found, else all except void stages."""
    if best is not None:
        return windows_after_settling(measured.windows, best)
    void = {number for number, stage in enumerate(stages) if stage.outcome == "void"}
    return [one for one in measured.windows if not one.warm_up and one.stage not in void]


def _outcome(
    measured: LoadTestResult, stages: Sequence[StageResult], best: int | None, verdicts: Sequence[Verdict]
) -> tuple[Outcome, str]:
    """The outcome of the whole run, and the reason as a sentence."""
    if measured.exceptions or measured.lost_workers or measured.generator.died:
        said = [f"{one.count} x {one.message}" for one in measured.exceptions]
        said += [f"{measured.lost_workers} workers were lost"] * bool(measured.lost_workers)
        said += ["greenlets of the generator died"] * bool(measured.generator.died)
        return "failed", f"the load test itself failed: {'; '.join(said)}"
    if best is not None:
        first = stages[best]
        return (worst_of([first.outcome, worst(verdicts)]), first.why) if verdicts else (first.outcome, first.why)
    void = [stage for stage in stages if stage.outcome == "void"]
    if void:
        return "void", void[0].why
    return worst(verdicts), _why(verdicts)


def windows_after_settling(windows: Sequence[MeasuredWindow], number: int) -> list[MeasuredWindow]:
    """A stage's windows without the first seconds of each repetition."""
    found: list[MeasuredWindow] = []
    own = [one for one in windows if one.stage == number]
    for repetition in sorted({one.repetition for one in own}):
        parts = [one for one in own if one.repetition == repetition]
        found += [one for one in parts if one.from_seconds >= parts[0].from_seconds + SETTLE_SECONDS]
    return found


def _stage(
    measured: LoadTestResult, number: int, rules: ThresholdFile, rows: Sequence[Threshold], seen: Sequence[ServiceObservation]
) -> StageResult:
    stage, parts = measured.plan[number], windows_after_settling(measured.windows, number)
    counts, seconds, own = total(parts), sum(one.seconds for one in parts), generator_health(parts)
    asked = sum(counts.get(name, Count()).requests for name in QUESTIONS)
    cpu, replicas = _cpu(measured, parts, seen)
    verdicts = judge_thresholds(rows, counts)
    outcome, why = _void(measured, number, rules.generator.late_p99_ms) or (worst(verdicts), _why(verdicts))
    passes = [[one for one in parts if one.repetition == repetition] for repetition in range(measured.repeat)]
    return StageResult(
        level=stage.level,
        seconds=seconds,
        offered_per_second=float(stage.level) if measured.kind == "arrivals" else None,
        questions_per_second=asked / seconds if seconds else 0.0,
        outcome=outcome,
        why=why,
        goodput=goodput(passes),
        late_p99_ms=own.late_p99_ms,
        generator_cpu_percent=own.cpu_percent,
        replicas=replicas,
        cpu_per_replica=cpu,
        cpu=bottleneck.cores(measured, parts, seen),
    )


def _void(measured: LoadTestResult, number: int, limit_ms: int) -> tuple[Outcome, str] | None:
    """The outcome `void` with the reason, if the generator was late or could not send in this stage; else None."""
    windows = [one for one in measured.windows if one.stage == number and not one.warm_up]
    settled_ones = windows_after_settling(measured.windows, number)
    own = generator_health(settled_ones or windows)
    if reasons := generator_health(windows).not_sent:
        said = "; ".join(f"{count} x {reason}" for reason, count in reasons.items())
        return "void", f"the generator could not send: {said}"
    late = own.late_p99_ms
    if late is not None and late > limit_ms:
        return "void", f"the generator was late: p99 {late:.0f} ms, at most {limit_ms} ms; its CPU {own.cpu_percent:.0f} %"
    return None


def _why(verdicts: Sequence[Verdict]) -> str:
    outcome = worst(verdicts)
    bad = [one for one in verdicts if one.outcome == outcome != "kept"]
    return "; ".join(f"{one.says}: {one.bad} of {one.samples}, {one.minimum_samples} needed" if outcome == "too few"
                     else f"{one.says}: {one.bad} of {one.samples}" for one in bad)  # fmt: skip


def _cpu(
    measured: LoadTestResult, parts: Sequence[MeasuredWindow], seen: Sequence[ServiceObservation]
) -> tuple[float | None, int | None]:
    """(cores that a replica used, replicas) within these windows; None without observations, or when the processes changed."""
    if not parts:
        return None, None
    begin, end = measured.began + parts[0].from_seconds, measured.began + parts[-1].to_seconds
    looks = [(one.at, one.cpu_seconds, one.replicas) for one in seen
             if begin <= one.at <= end and one.cpu_seconds is not None and one.replicas]  # fmt: skip
    replicas = looks[-1][2] if looks else None
    if replicas is None or len(looks) < 2 or {count for _, _, count in looks} != {replicas}:
        return None, replicas
    if {one.repetition for one in parts} != {parts[0].repetition}:  # between two repetitions of this stage other stages ran
        return None, replicas
    used, seconds = looks[-1][1] - looks[0][1], looks[-1][0] - looks[0][0]
    return (used / seconds / replicas if used >= 0 else None), replicas
