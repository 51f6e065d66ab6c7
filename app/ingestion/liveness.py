"""Which workers live, told by whether their heartbeats go on, by a clock that nobody sets.

Heartbeats are stamped by the clocks of the machines that send them. One that runs ahead, or was set back since, would keep a dead worker alive
for as long as it was wrong; one that runs behind would have a living worker's documents taken away from it.

While the database is away no worker can send a heartbeat, and no observer can look. So a long gap between two looks counts against no worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

# Between two looks at most this much counts as silence. Housekeeping looks every 3 s: three looks in a row may be late or fail, as on a busy machine
# or when a connection is replaced, and silence is still measured in full.
UNSEEN_SECONDS: Final = 10.0
Worker = tuple[str, str]  # executor id and release id


class Liveness:
    """What one observer has seen of the workers' heartbeats."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._clock, self._now = clock, now
        self._seen: dict[Worker, tuple[datetime, float]] = {}  # the heartbeat, and when it was first met here
        self._looked_at: float | None = None

    def live_workers(self, heartbeats: Mapping[Worker, datetime], *, within_seconds: float) -> set[Worker]:
        """Those whose heartbeat has changed within the time, of which a gap between two looks counts for UNSEEN_SECONDS at most.

        At the first look a heartbeat is as old as it says; one from the future is new.
        """
        at = self._clock()
        unseen = 0.0 if self._looked_at is None else max(0.0, at - self._looked_at - UNSEEN_SECONDS)
        self._looked_at = at
        met: dict[Worker, tuple[datetime, float]] = {}
        for worker, stamped in heartbeats.items():
            known = self._seen.get(worker)
            if known is None:
                met[worker] = stamped, at - max(0.0, (self._now() - stamped).total_seconds())
            else:
                met[worker] = (stamped, known[1] + unseen) if known[0] == stamped else (stamped, at)
        self._seen = met
        return {worker for worker, (_, since) in met.items() if at - since < within_seconds}
