"""How many seconds of a run the counts cover: workers report every 3 s, so the master's counts always end a moment ago. Pure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable


class ReportTimes:
    """When the latest report of each worker came."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """A run begins."""
        self._began, self._covered = self._clock(), 0.0
        self._came: dict[str, float] = {}

    def came(self, worker: str) -> None:
        self._came[worker] = self._clock()

    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._began

    def covered_seconds(self, connected: Iterable[str]) -> float:
        """From the beginning to the latest report, averaged over the workers that are connected. It never shrinks when one comes or goes."""
        latest = [came for worker in connected if (came := self._came.get(worker)) is not None]
        if latest:
            self._covered = max(self._covered, statistics.fmean(latest) - self._began)
        return self._covered
