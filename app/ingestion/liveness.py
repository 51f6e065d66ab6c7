"""Which workers live, told by whether their heartbeats go on, by a clock that nobody sets.

Heartbeats are stamped by the clocks of the machines that send them. One that runs ahead, or was set back since, would keep a dead worker alive
for as long as it was wrong; one that runs behind would have a living worker's documents taken away from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

Worker = tuple[str, str]  # executor id and release id


class Liveness:
    """What one observer has seen of the workers' heartbeats."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._clock, self._now = clock, now
        self._seen: dict[Worker, tuple[datetime, float]] = {}  # the heartbeat, and when it was first met here

    def live_workers(self, heartbeats: Mapping[Worker, datetime], *, within_seconds: float) -> set[Worker]:
        """Those whose heartbeat has changed within the time. At the first look a heartbeat is as old as it says; one from the future is new."""
        at = self._clock()
        met: dict[Worker, tuple[datetime, float]] = {}
        for worker, stamped in heartbeats.items():
            known = self._seen.get(worker)
            if known is None:
                met[worker] = stamped, at - max(0.0, (self._now() - stamped).total_seconds())
            else:
                met[worker] = known if known[0] == stamped else (stamped, at)
        self._seen = met
        return {worker for worker, (_, since) in met.items() if at - since < within_seconds}
