"""Samples Locust's counts while a shape runs, at regular intervals and at the end of each stage."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import gevent
from locust import log
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests.calls import FailedCall
from loadtests.climb import ClimbRules, ClimbWatch
from loadtests.generator import GatheredCounts
from loadtests.measured import (
    BETWEEN_TOKENS,
    BOUNDARY_SECONDS,
    QUESTIONS,
    Count,
    FailureCount,
    LoadTestResult,
    MeasuredWindow,
    RunSample,
    TaskException,
    covered_seconds,
    generator_health,
    total,
    windows,
)
from loadtests.shapes import NONE
from loadtests.timetable import Timetable

WINDOWS: Final = 240  # of a run, at most: enough for a plot, and an hour's file stays below a few MB
LEAST_SECONDS: Final = 1.0
TELL_SECONDS: Final = 2.0
ENDED_SECONDS: Final = 1.5  # a run counts as over this long before its end, because Locust checks the shape once a second


class Recorder:
    """Samples Locust's own statistics, which the master has for all workers.
    Calls `tell` with a row of progress every two seconds."""

    def __init__(
        self,
        environment: Environment,
        timetable: Timetable,
        gathered: GatheredCounts,
        sends: Iterable[str],
        tell: Callable[[dict[str, object]], None],
    ) -> None:
        self._environment, self._gathered, self._tell = environment, gathered, tell
        self._timetable, self._shape = timetable, timetable.shape
        self._watch: ClimbWatch | None = None
        self._sends = tuple(sorted(set(sends)))
        self._samples: list[RunSample] = []
        self._forgotten: list[MeasuredWindow] = []  # windows before Locust's statistics were reset: a warm-up
        self._exceptions: list[TaskException] = []
        self._warm_failures: dict[tuple[str, str], int] = {}
        self._began, self._clock = time.time(), time.monotonic()
        self._greenlet: gevent.Greenlet | None = None
        self._ended_at: float | None = None
        self.over = False

    def watch_climbs(self, rules: ClimbRules, probe: Callable[[], float | None]) -> None:
        """Called before the start of a search for the limit."""

        def in_flight() -> int:
            """Who waits for an answer is still there."""
            return self._environment.runner.user_count if self._environment.runner else 0

        self._watch = ClimbWatch(self._timetable, rules, in_flight, probe, self._now, self._tell)

    def start(self) -> None:
        self._samples.append(self._sample())
        self._greenlet = gevent.spawn(self._run)
        self._greenlet.link_exception(self._died)

    def ending(self) -> None:
        """Note that the run was told to end; only the last answers are awaited from now on."""
        self._ended_at = self._now()
        self._take()

    def forget(self) -> None:
        """Called before Locust resets its statistics. The counts until now become a warm-up."""
        self._take()
        found = windows(self._samples, self._shape.warm_up_seconds)
        self._forgotten += [one.model_copy(update={"stage": None, "warm_up": True}) for one in found]
        self._exceptions = self._caught()
        self._warm_failures = {}
        # Nothing is counted between this sample and the reset: no greenlet is switched to.
        last = self._samples[-1]
        self._samples = [
            last.model_copy(update={"counts": {name: one for name, one in last.counts.items() if name == BETWEEN_TOKENS}})
        ]

    def finish(self) -> LoadTestResult:
        """The measurements."""
        self.over = True
        if self._greenlet is not None:
            self._greenlet.kill()
        self._take()
        at = self._samples[-1].at_seconds if self._ended_at is None else self._ended_at
        runner = self._environment.runner
        found = self._shape
        return LoadTestResult(
            shape=found.name,
            kind=found.kind,
            plan=found.stages,
            host=str(self._environment.host),
            began=self._began,
            seconds=min(at, self._timetable.ends_at),
            warm_up_seconds=found.warm_up_seconds,
            repeat=found.repeat,
            each_stage=found.each_stage,
            climbs=self._watch.climbs if self._watch is not None else [],
            sends=self._sends,
            windows=[*self._forgotten, *windows(self._samples, found.warm_up_seconds)],
            failures=[FailureCount(requests=name, reason=reason, count=more) for (name, reason), count in self._failures().items()
                      if (more := count - self._warm_failures.get((name, reason), 0))],
            exceptions=self._caught(),
            lost_workers=len(runner.clients.missing) if isinstance(runner, MasterRunner) else 0,
            # A plain run without a run time is over when it is told to end.
            interrupted=at < self._timetable.ends_at - ENDED_SECONDS and not (found.name == NONE and self._environment.parsed_options.run_time is None),  # type: ignore[union-attr]
        )  # fmt: skip

    def _now(self) -> float:
        """Seconds since the start of the run."""
        return time.monotonic() - self._clock

    def _caught(self) -> list[TaskException]:
        """The current exceptions, and those from before a reset."""
        runner = self._environment.runner
        now = (
            [TaskException(message=str(one["msg"]), count=int(one["count"])) for one in runner.exceptions.values()]
            if runner
            else []
        )
        return [*(one for one in self._exceptions if one not in now), *now]

    def _failures(self) -> dict[tuple[str, str], int]:
        found: Counter[tuple[str, str]] = Counter()  # one name and reason may have two methods: a request and an event
        for one in self._environment.stats.errors.values():
            found[one.name, _words(one.error)] += one.occurrences
        return found

    def _run(self) -> None:
        step = max(LEAST_SECONDS, min(self._shape.seconds, 86_400.0) / WINDOWS if self._shape.name != NONE else LEAST_SECONDS)
        told = 0.0
        while True:
            gevent.sleep(min(step, self._until_next_stage()))
            self._take()
            if self._watch is not None and self._ended_at is None and self._watch.look(self._samples):
                self._take()
            if self._samples[-1].at_seconds - told >= TELL_SECONDS:
                told = self._samples[-1].at_seconds
                self._tell(self._progress())

    def _died(self, _: gevent.Greenlet) -> None:
        """Without this greenlet nobody would begin the next climb, and the run would never end."""
        log.unhandled_greenlet_exception = True
        self._timetable.end_run(self._now())

    def _take(self) -> None:
        """Take another sample; if the window belonged to the warm-up, also keep its failures."""
        if self._samples[-1].at_seconds < self._shape.warm_up_seconds - BOUNDARY_SECONDS:
            self._warm_failures = self._failures()
        self._samples.append(self._sample())

    def _until_next_stage(self) -> float:
        """Seconds until the next sample, which is taken at the end of a stage at the latest,
        so that no window mixes two stages."""
        now = self._now()
        end = self._timetable.next_end(now + 0.01)  # a nearer one is the boundary itself
        return end - now if end is not None else LEAST_SECONDS

    def _sample(self) -> RunSample:
        at = self._now()
        repetition, stage = self._timetable.where(at)
        if self._ended_at is not None:
            stage = None  # awaiting the last answers of a run that was ended early
        runner, known = self._environment.runner, self._gathered.now()
        counts: dict[str, Count] = {}
        for entry in self._environment.stats.entries.values():
            now = Count(requests=entry.num_requests, failed=entry.num_failures, ms=dict(entry.response_times))
            # One name may have two methods: a request and an event.
            counts[entry.name] = counts.get(entry.name, Count()).plus(now)
        if known.between_tokens_ms:
            gaps = dict(known.between_tokens_ms)
            counts[BETWEEN_TOKENS] = Count(requests=sum(gaps.values()), ms=gaps)
        return RunSample(
            at_seconds=at,
            stage=stage,
            users=runner.user_count if runner else 0,
            counts=counts,
            generator=known,
            repetition=repetition,
        )

    def _progress(self) -> dict[str, object]:
        recent = [one for one in windows(self._samples[-12:]) if one.seconds > 0]
        counts, seconds, known = total(recent), covered_seconds(recent), generator_health(recent)
        asked = sum(counts.get(name, Count()).requests for name in QUESTIONS)
        open_ended = self._shape.seconds > 10**8
        return {
            "step": "running",
            "done": round(min(self._samples[-1].at_seconds, self._timetable.ends_at)),
            "total": None if open_ended else round(max(self._timetable.planned_seconds, self._samples[-1].at_seconds)),
            "users": self._samples[-1].users,
            "questions_per_second": round(asked / seconds, 1) if seconds else 0.0,
            "goodput_per_second": round(known.good / seconds, 1) if seconds else 0.0,
            "streams": self._samples[-1].generator.streams,
            "late_p99_ms": known.late_p99_ms,
            "failed": sum(count.failed for count in self._samples[-1].counts.values()),
            "search_p95_ms": counts.get(QUESTIONS[0], Count()).percentile_ms(0.95),
            "first_event_p95_ms": counts.get(QUESTIONS[1], Count()).percentile_ms(0.95),
        }


def _words(error: object) -> str:
    """What Locust keeps of an exception: its text in one process, its repr from workers."""
    said = str(error)
    return said.removeprefix(f"{FailedCall.__name__}('").removesuffix("')")
