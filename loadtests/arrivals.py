"""Requests that arrive at a constant rate, whatever became of the ones before. Pure: times in, times out."""

from __future__ import annotations


class Schedule:
    """`per_second` due times from `start` (seconds of a monotonic clock) on; `phase` in [0, 1) shifts them within one gap.

    No due time is ever left out: who comes late is given all that were missed, and must count their latency from when they were due.
    Leaving them out would be coordinated omission: a stalled service would be asked less and so look fast.
    """

    def __init__(self, per_second: float, start: float, phase: float = 0.0) -> None:
        self._gap = 1.0 / per_second
        self._start = start + phase * self._gap
        self._given = 0

    def due(self, now: float) -> list[float]:
        """Every due time up to `now` that was not given before, oldest first."""
        found = []
        while (at := self._start + self._given * self._gap) <= now:  # multiplied, not added up: a day of it does not drift
            found.append(at)
            self._given += 1
        return found

    def wait(self, now: float) -> float:
        """Seconds until the next due time."""
        return max(0.0, self._start + self._given * self._gap - now)
