"""Decides which workers are alive: those whose heartbeat keeps changing, measured by the observer's monotonic clock.

The time stamps of heartbeats are not compared with the observer's time, because they come from other machines. A clock that runs
ahead, or was set back since, would make a dead worker look alive for as long as the clock is wrong; a clock that runs behind
would make a living worker lose its documents.

While the database is away no worker can send a heartbeat, and no observer can look. So of a long gap between two looks
only a part counts as a worker's silence. The same holds for the time before an observer's first look, because it may have started
during such an outage: all heartbeats are then old, and none of the workers is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

# The most of a gap between two looks that counts as silence. Housekeeping looks every 3 s, so silence is still measured in full
# when three looks in a row are late or fail, as on a busy machine or when a connection is replaced.
UNSEEN_SECONDS: Final = 10.0
Worker = tuple[str, str]  # executor id and release id


class Liveness:
    """One observer's record of the workers' heartbeats."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._clock, self._now = clock, now
        self._seen: dict[Worker, tuple[datetime, float]] = {}  # the heartbeat, and when this observer first saw it
        self._looked_at: float | None = None

    def live_workers(self, heartbeats: Mapping[Worker, datetime], *, within_seconds: float) -> set[Worker]:
        """The workers whose heartbeat changed within `within_seconds`. Of each gap
        between two looks at most UNSEEN_SECONDS count.

        When a heartbeat is seen first its age is taken from its time stamp, and at most UNSEEN_SECONDS of it count; one from the future
        counts as new.
        """
        at = self._clock()
        unseen = 0.0 if self._looked_at is None else max(0.0, at - self._looked_at - UNSEEN_SECONDS)
        self._looked_at = at
        met: dict[Worker, tuple[datetime, float]] = {}
        for worker, stamped in heartbeats.items():
            known = self._seen.get(worker)
            if known is None:
                met[worker] = stamped, at - min(UNSEEN_SECONDS, max(0.0, (self._now() - stamped).total_seconds()))
            else:
                met[worker] = (stamped, known[1] + unseen) if known[0] == stamped else (stamped, at)
        self._seen = met
        return {worker for worker, (_, since) in met.items() if at - since < within_seconds}
