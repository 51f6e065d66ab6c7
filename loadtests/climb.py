"""Watches a search for the limit while it runs: ends each climb soon after the first broken stage, because more load would only pile up a
backlog, and begins the next climb when the service has drained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.measured import Climb, Count, Drain, GeneratorHealth, MeasuredWindow, Outcome, RunSample, windows
from loadtests.shapes import SETTLE_SECONDS, UNITS
from loadtests.thresholds import SURE, Threshold, chance_of_as_many, judge_thresholds
from loadtests.timetable import Timetable

DRAIN_SECONDS: Final = 60.0  # users wait up to 15 s for their answers; a service that takes four times that has another fault
PROBES: Final = 3  # good ones in a row: of several processes one may be idle while another still works off its backlog
# Of a running stage after its settling: a stall of a second makes a fifth of these requests late, and is no limit of the service.
LEAST_SECONDS: Final = 5.0
LATE_SHARE: Final = 0.01  # of the requests: what p99 leaves

Tell = Callable[[dict[str, object]], None]


@dataclass(frozen=True, slots=True)
class ClimbRules:
    """What ends a climb and a wait: the thresholds of its shape, and the generator's largest p99 lateness."""

    rows: tuple[Threshold, ...]
    late_p99_ms: int


@dataclass(frozen=True, slots=True)
class StageSoFar:
    """A stage until now. `settled`: without its first seconds, None before they are over. `over`: no more of it will come."""

    number: int
    whole: MeasuredWindow
    settled: MeasuredWindow | None
    over: bool


def stage_so_far(samples: Sequence[RunSample]) -> StageSoFar | None:
    """The stage of the last window; None where it is in none."""
    if len(samples) < 2 or samples[-2].stage is None:
        return None
    last, before = samples[-1], samples[-2]
    own: list[RunSample] = []
    # From the end, because a run has hundreds of samples and this is called after each of them.
    for number in range(len(samples) - 2, -1, -1):
        sample = samples[number]
        if (sample.repetition, sample.stage) != (before.repetition, before.stage):
            break
        own.append(sample)
    begin = own[-1]
    settled = next((one for one in reversed(own) if one.at_seconds >= begin.at_seconds + SETTLE_SECONDS), None)
    over = (last.repetition, last.stage) != (before.repetition, before.stage)
    return StageSoFar(
        before.stage or 0, windows([begin, last])[0], windows([settled, last])[0] if settled is not None else None, over
    )


def broken(stage: StageSoFar, rules: ClimbRules) -> tuple[Outcome, str] | None:
    """Why a climb ends in this stage: void or breached, and the reason; None while neither is beyond doubt.

    Beyond doubt: if the share of bad requests were just allowed, chance would give so many of them less often than SURE. That is true of requests
    that are bad independently of each other, and those that wait through one stall are not: so it takes some seconds of a running stage.
    """
    if stage.whole.generator.not_sent:
        return "void", not_sent_words(stage.whole.generator)
    if stage.settled is None or (stage.settled.seconds < LEAST_SECONDS and not stage.over):
        return None
    own = stage.settled.generator
    for tally in (own.late_ms, own.lag_ms):
        if _too_many(Count(ms=tally).later_than(rules.late_p99_ms), sum(tally.values()), LATE_SHARE):
            return "void", late_words(own, rules.late_p99_ms)
    for row, verdict in zip(rules.rows, judge_thresholds(rules.rows, stage.settled.counts), strict=True):
        if _too_many(verdict.bad, verdict.samples, row.at_most_percent / 100):
            return "breached", f"{row.says}: {verdict.bad} of {verdict.samples}"
    return None


def _too_many(bad: int, samples: int, share: float) -> bool:
    return bad > share * samples and chance_of_as_many(bad, samples, share) < SURE


def late_words(own: GeneratorHealth, limit_ms: int) -> str:
    return f"the generator was late: p99 {own.late_p99_ms or 0:.0f} ms, at most {limit_ms} ms; its CPU {own.cpu_percent:.0f} %"


def not_sent_words(own: GeneratorHealth) -> str:
    said = "; ".join(f"{count} x {reason}" for reason, count in own.not_sent.items())
    return f"the generator could not send: {said}"


class ClimbWatch:
    """Ends a climb at its first broken stage, and begins the next one when the service has drained.

    `in_flight`: users that still wait for an answer. `probe`: milliseconds of one request beside the load, None if it had no good answer within
    its limit. `clock`: seconds since the start of the run.
    """

    def __init__(
        self,
        timetable: Timetable,
        rules: ClimbRules,
        in_flight: Callable[[], int],
        probe: Callable[[], float | None],
        clock: Callable[[], float],
        tell: Tell,
    ) -> None:
        self._timetable, self._rules, self._in_flight, self._probe = timetable, rules, in_flight, probe
        self._clock, self._tell = clock, tell
        self._good = 0  # probes in a row
        self.climbs = [Climb(repetition=0)]

    def look(self, samples: Sequence[RunSample]) -> bool:
        """Called after each sample. Whether a climb has ended or begun, so that another sample is due at once."""
        stage = stage_so_far(samples)
        if stage is None:
            return self._timetable.waits(self._clock()) and self._wait()
        if (found := broken(stage, self._rules)) is None:
            return False
        outcome, why = found
        self.climbs[-1] = self.climbs[-1].model_copy(update={"broken_stage": stage.number, "outcome": outcome, "why": why})
        if not self._timetable.waits(self._clock()):
            self._timetable.end_repetition(self._clock())
        shape = self._timetable.shape
        level = f"{shape.stages[stage.number].level} {UNITS[shape.kind]}"
        self._tell({"step": "climb", "detail": f"{self._name()}ended at {level}, {outcome}: {why}", "outcome": outcome})
        return True

    def _wait(self) -> bool:
        """One look at the service after a climb. Whether the next climb has begun."""
        probe_ms = None if self._in_flight() else self._probe()
        self._good = 0 if probe_ms is None else self._good + 1
        now = self._clock()
        waited = now - self._timetable.waits_since()
        drained = self._good >= PROBES
        if not drained and waited < DRAIN_SECONDS:
            return False
        self._good = 0
        self.climbs[-1] = self.climbs[-1].model_copy(update={"drain": Drain(seconds=waited, drained=drained, probe_ms=probe_ms)})
        said = (
            f"drained after {waited:.0f} s"
            if drained
            else f"not drained within {DRAIN_SECONDS:.0f} s, and the next climb begins in its backlog"
        )
        self._tell({"step": "drain", "detail": f"{self._name()}{said}", "drained": drained})
        self._timetable.begin_repetition(now)
        self.climbs.append(Climb(repetition=len(self.climbs)))
        return True

    def _name(self) -> str:
        return f"repetition {self.climbs[-1].repetition + 1} of {self._timetable.shape.repeat}: "
