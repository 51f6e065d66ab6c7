"""Turns measurements into a result: verdicts for the run and each stage, goodput at the knee,
and the observations of the operator's command. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from loadtests import bottleneck, compare
from loadtests.climb import late_words, not_sent_words
from loadtests.goodput import goodput
from loadtests.measured import (
    QUESTIONS,
    Count,
    LoadTestResult,
    MeasuredWindow,
    Outcome,
    ServiceObservation,
    StageResult,
    covered_seconds,
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
    stages = [_stage(measured, number, rules, rows, seen) for number in range(_begun_stages(measured))]
    best = last_kept_stage(stages) if measured.each_stage else None
    judged = _judged(measured, stages, best)
    verdicts = judge_thresholds(rows, total(judged))
    void = stages[best].outcome == "void" if best is not None else any(stage.outcome == "void" for stage in stages)
    if void:
        # No verdict of a void run may say "kept" or "breached".
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
    if void:
        compared = tuple(replace(one, outcome="void") for one in compared)
    outcome, why = _outcome(measured, stages, best, [*verdicts, *compared])
    found = measured.model_copy(
        update={
            "verdicts": [asdict(one) for one in (*verdicts, *compared)],
            "stages": stages,
            "seen": list(seen),
            "about": about,
            "goodput": good if outcome != "void" else None,  # what is left of a void run says nothing about the service
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
    counts, own = total(parts), generator_health(parts)
    seconds, covered = sum(one.seconds for one in parts), covered_seconds(parts)
    asked = sum(counts.get(name, Count()).requests for name in QUESTIONS)
    cpu, replicas = _cpu(measured, parts, seen)
    verdicts = judge_thresholds(rows, counts)
    void = _void(measured, number, rules.generator.late_p99_ms)
    judged: tuple[Outcome, str] = (worst(verdicts), _why(verdicts))
    if stage.seconds <= SETTLE_SECONDS:
        short = f"it has {stage.seconds:g} s, and a stage's first {SETTLE_SECONDS:g} s only count for the run as a whole"
        judged = "too few", short
    outcome, why = void or _ended_here(measured, number) or judged
    passes = [[one for one in parts if one.repetition == repetition] for repetition in range(measured.repeat)]
    return StageResult(
        level=stage.level,
        seconds=seconds,
        offered_per_second=float(stage.level) if measured.kind == "arrivals" else None,
        questions_per_second=asked / covered if covered else 0.0,
        outcome=outcome,
        why=why,
        goodput=goodput(passes),
        late_p99_ms=own.late_p99_ms,
        generator_cpu_percent=own.cpu_percent,
        replicas=replicas,
        cpu_per_replica=cpu,
        cpu=bottleneck.cores(measured, parts, seen),
    )


def _begun_stages(measured: LoadTestResult) -> int:
    """How many stages to report: of a search for the limit only those that a climb began, because all of them may have ended early."""
    if not measured.climbs:
        return len(measured.plan)
    # A climb ends a moment after the end of its broken stage, when the next one has already begun.
    most = {one.repetition: one.broken_stage for one in measured.climbs if one.broken_stage is not None}
    return (
        max((min(one.stage, most.get(one.repetition, one.stage)) for one in measured.windows if one.stage is not None), default=0)
        + 1
    )


def _ended_here(measured: LoadTestResult, number: int) -> tuple[Outcome, str] | None:
    """(outcome, reason) of the climbs that ended in this stage; None where none did. So a stage is kept only if every climb kept it."""
    ended = [one for one in measured.climbs if one.broken_stage == number and one.outcome is not None]
    if not ended:
        return None
    of = "repetition {}: " if measured.repeat > 1 else ""
    return worst_of([one.outcome for one in ended if one.outcome]), "; ".join(
        f"{of.format(one.repetition + 1)}{one.why}" for one in ended
    )


def _void(measured: LoadTestResult, number: int, limit_ms: int) -> tuple[Outcome, str] | None:
    """The outcome `void` with the reason, if the generator was late or could not send in this stage; else None."""
    windows = [one for one in measured.windows if one.stage == number and not one.warm_up]
    settled_ones = windows_after_settling(measured.windows, number)
    own = generator_health(settled_ones or windows)
    if (whole := generator_health(windows)).not_sent:
        return "void", not_sent_words(whole)
    late = own.late_p99_ms
    return ("void", late_words(own, limit_ms)) if late is not None and late > limit_ms else None


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
