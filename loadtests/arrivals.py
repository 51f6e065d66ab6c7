"""Schedules of requests that arrive at their own time, independent of earlier answers. Pure functions: times in, times out."""

from __future__ import annotations

import random
from typing import Final

PROCESSES: Final = ("constant", "poisson")


class ArrivalSchedule:
    """`per_second` due times from `start` (seconds of a monotonic clock) on, none after `until`.

    Without `chance` the gaps are equal, and `phase` in [0, 1) shifts all within one gap. With it the gaps are exponential, so arrivals are a Poisson
    process, as independent users do, in clusters and lulls. Many Poisson sources together are one Poisson process. No due time is
    ever left out: a late caller gets all missed ones, and must count their latency from the due time. Leaving them out would be
    coordinated omission: a stalled service would get fewer requests and so look fast.
    """

    def __init__(
        self,
        per_second: float,
        start: float,
        phase: float = 0.0,
        *,
        chance: random.Random | None = None,
        until: float = float("inf"),
    ) -> None:
        self._gap, self._chance, self._until = 1.0 / per_second, chance, until
        self._start = start + phase * self._gap
        self._given = 0
        self._next = start + chance.expovariate(per_second) if chance else self._start

    def due(self, now: float) -> list[float]:
        """Every due time up to `now` that was not returned before, oldest first."""
        found = []
        while self._next <= now and self._next < self._until:
            found.append(self._next)
            self._given += 1
            # Equal gaps are multiplied, because adding them up for a day would drift.
            self._next = (
                self._next + self._chance.expovariate(1 / self._gap) if self._chance else self._start + self._given * self._gap
            )
        return found

    def wait(self, now: float) -> float:
        """Seconds until the next due time; a second at most after the last one, so that the caller can still be stopped."""
        return 1.0 if self._next >= self._until else max(0.0, self._next - now)
