"""From measurements to a result: verdicts for the whole run and for each stage, and what the operator's command saw beside it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from loadtests.measured import QUESTIONS, Count, Result, Seen, StageResult, Window, total
from loadtests.shapes import SETTLE_SECONDS
from loadtests.thresholds import Threshold, judge, worst


def evaluate(measured: Result, rows: Sequence[Threshold], seen: Sequence[Seen], about: dict[str, object]) -> Result:
    """The same measurements with verdicts for all of it and for each stage."""
    verdicts = judge(rows, measured.totals)
    stages = [_stage(measured, number, rows, seen) for number in range(len(measured.plan))]
    outcome = worst(verdicts)
    # `step` goes beyond what the service can on purpose: it looks for the last stage that is kept, and is breached when there is none.
    if measured.shape == "step" and any(stage.outcome == "kept" for stage in stages):
        outcome = "kept"
    return measured.model_copy(
        update={"verdicts": [asdict(one) for one in verdicts], "stages": stages, "seen": list(seen), "about": about, "outcome": outcome}
    )  # fmt: skip


def settled(windows: Sequence[Window], number: int) -> list[Window]:
    """A stage's windows without its first seconds."""
    own = [one for one in windows if one.stage == number]
    return [one for one in own if one.from_seconds >= own[0].from_seconds + SETTLE_SECONDS]


def _stage(measured: Result, number: int, rows: Sequence[Threshold], seen: Sequence[Seen]) -> StageResult:
    stage, parts = measured.plan[number], settled(measured.windows, number)
    counts, seconds = total(parts), sum(one.seconds for one in parts)
    asked = sum(counts.get(name, Count()).requests for name in QUESTIONS)
    cpu, replicas = _cpu(measured, parts, seen)
    return StageResult(
        level=stage.level,
        seconds=seconds,
        offered_per_second=float(stage.level) if measured.kind == "arrivals" else None,
        questions_per_second=asked / seconds if seconds else 0.0,
        outcome=worst(judge(rows, counts)),
        replicas=replicas,
        cpu_per_replica=cpu,
    )


def _cpu(measured: Result, parts: Sequence[Window], seen: Sequence[Seen]) -> tuple[float | None, int | None]:
    """(cores that a replica used, replicas) within these windows; None where nobody looked, or the processes changed meanwhile."""
    if not parts:
        return None, None
    begin, end = measured.began + parts[0].from_seconds, measured.began + parts[-1].to_seconds
    looks = [(one.at, one.cpu_seconds, one.replicas) for one in seen
             if begin <= one.at <= end and one.cpu_seconds is not None and one.replicas]  # fmt: skip
    replicas = looks[-1][2] if looks else None
    if replicas is None or len(looks) < 2 or {count for _, _, count in looks} != {replicas}:
        return None, replicas
    used, seconds = looks[-1][1] - looks[0][1], looks[-1][0] - looks[0][0]
    return (used / seconds / replicas if used >= 0 else None), replicas
