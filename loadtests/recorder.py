"""Writes down what Locust counts while a shape runs: a sample at regular moments and at the end of each stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import gevent
from locust.env import Environment

from loadtests.measured import FIRST_EVENT, SEARCH, Count, Failure, Result, Sample, total, windows
from loadtests.shapes import Shape

WINDOWS: Final = 240  # of a run, at most: enough for a plot, and an hour's file stays below a few MB
LEAST_SECONDS: Final = 1.0
TELL_SECONDS: Final = 2.0


class Recorder:
    """Samples Locust's own statistics, which the master has of all workers. `tell` is given a row of progress every two seconds."""

    def __init__(self, environment: Environment, shape: Shape, tell: Callable[[dict[str, object]], None]) -> None:
        self._environment, self._shape, self._tell = environment, shape, tell
        self._samples: list[Sample] = []
        self._began, self._clock = time.time(), time.monotonic()
        self._greenlet: gevent.Greenlet | None = None
        self.over = False

    def start(self) -> None:
        self._samples.append(self._sample())
        self._greenlet = gevent.spawn(self._run)

    def finish(self) -> str:
        """The measurements as JSON."""
        self.over = True
        if self._greenlet is not None:
            self._greenlet.kill()
        self._samples.append(self._sample())
        errors = self._environment.stats.errors.values()
        return Result(
            shape=self._shape.name,
            kind=self._shape.kind,
            plan=self._shape.stages,
            host=str(self._environment.host),
            began=self._began,
            seconds=min(self._samples[-1].at_seconds, self._shape.seconds),  # what follows is waiting for the last answers
            windows=windows(self._samples),
            failures=[Failure(requests=one.name, reason=_words(one.error), count=one.occurrences) for one in errors],
        ).model_dump_json()

    def _run(self) -> None:
        step = max(LEAST_SECONDS, self._shape.seconds / WINDOWS)
        told = 0.0
        while True:
            gevent.sleep(min(step, self._until_next_stage()))
            self._samples.append(self._sample())
            if self._samples[-1].at_seconds - told >= TELL_SECONDS:
                told = self._samples[-1].at_seconds
                self._tell(self._progress())

    def _until_next_stage(self) -> float:
        """So that no window mixes two stages."""
        now, end = time.monotonic() - self._clock, 0.0
        for stage in self._shape.stages:
            end += stage.seconds
            if end > now + 0.01:  # seconds: nearer is the boundary itself
                return end - now
        return LEAST_SECONDS

    def _sample(self) -> Sample:
        at = time.monotonic() - self._clock
        found = self._shape.level(at)
        runner = self._environment.runner
        counts: dict[str, Count] = {}
        for entry in self._environment.stats.entries.values():
            now = Count(requests=entry.num_requests, failed=entry.num_failures, ms=dict(entry.response_times))
            counts[entry.name] = counts.get(entry.name, Count()).plus(
                now
            )  # one name may have two methods: a request and an event
        return Sample(at_seconds=at, stage=found[0] if found else None, users=runner.user_count if runner else 0, counts=counts)

    def _progress(self) -> dict[str, object]:
        recent = [one for one in windows(self._samples[-12:]) if one.seconds > 0]
        counts, seconds = total(recent), sum(one.seconds for one in recent)
        asked = sum(counts.get(name, Count()).requests for name in (SEARCH, FIRST_EVENT))
        return {
            "step": "running",
            "done": round(min(self._samples[-1].at_seconds, self._shape.seconds)),
            "total": round(self._shape.seconds),
            "users": self._samples[-1].users,
            "questions_per_second": round(asked / seconds, 1) if seconds else 0.0,
            "failed": sum(count.failed for count in self._samples[-1].counts.values()),
            "search_p95_ms": counts.get(SEARCH, Count()).percentile_ms(0.95),
            "first_event_p95_ms": counts.get(FIRST_EVENT, Count()).percentile_ms(0.95),
        }


def _words(error: object) -> str:
    """What Locust keeps of an exception: its repr in one process, its text from workers."""
    said = str(error)
    return said.removeprefix("Refused('").removesuffix("')")
