"""Quotas: the most that each key may send in one UTC day, over all processes and across restarts.

The counts are in the catalog and not in Redis, so that they do not depend on Redis. A process reserves 1/200 of a quota at a
time. A quota is never exceeded; when a process ends, its unused reservation is lost to the key for that day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Final

from anyio import to_thread
from cachetools import LRUCache

from app.catalog import usage
from app.catalog.engine import Catalog
from app.catalog.keys import Principal
from app.catalog.tables import now
from app.catalog.usage import Counted
from app.errors import QuotaExceeded
from app.observability.metrics import QUOTA_REFUSALS

_RESERVATIONS_PER_QUOTA: Final = 200  # so a day's quota costs 200 small writes, and a restart loses at most half a percent of it
_KEYS: Final = 10_000  # reservations remembered at once


class _Reserve:
    """The rest of this process's reservation for one key and one kind of request. It is valid for one day and one limit."""

    def __init__(self) -> None:
        self.asking = asyncio.Lock()
        self.valid_for: tuple[object, ...] = ()
        self.left = 0
        self.spent = False

    def take(self, valid_for: tuple[object, ...]) -> bool:
        if self.valid_for != valid_for or self.left == 0:
            return False
        self.left -= 1
        return True


class Quotas:
    """Counts the requests and questions of keys with a quota; keys without one cause no work."""

    def __init__(self, catalog: Catalog, *, clock: Callable[[], datetime] = now) -> None:
        self._catalog = catalog
        self._clock = clock
        self._reserves: LRUCache[tuple[str, Counted], _Reserve] = LRUCache(_KEYS)

    async def admit(self, who: Principal, what: Counted) -> None:
        """Count one; raises QuotaExceeded, with the seconds to midnight UTC, when the day's quota is used up."""
        limit = who.quota.requests if what == "requests" else who.quota.questions
        if limit is None:
            return
        moment = self._clock()
        valid_for = (moment.date(), limit)  # a changed quota invalidates the reservation at once
        reserve = self._reserves.setdefault((who.key_id, what), _Reserve())
        if reserve.take(valid_for):
            return
        async with reserve.asking:  # one request asks the catalog on behalf of all that wait
            if reserve.take(valid_for):
                return
            # Requests after the quota is used up do not ask the catalog again.
            if not (reserve.spent and reserve.valid_for == valid_for):
                granted = await to_thread.run_sync(self._reserve, who.key_id, what, moment, limit)
                reserve.valid_for, reserve.left, reserve.spent = valid_for, granted, granted == 0
                if reserve.take(valid_for):
                    return
        QUOTA_REFUSALS.labels(what).inc()
        raise QuotaExceeded(
            f"This key may send {limit} {what} a day and has sent them; the next day begins at 00:00 UTC.",
            retry_after_seconds=seconds_to_midnight(moment),
        )

    def _reserve(self, key_id: str, what: Counted, moment: datetime, limit: int) -> int:
        with self._catalog.write() as session:
            count = max(1, limit // _RESERVATIONS_PER_QUOTA)
            return usage.reserve(session, key_id, what, moment.date(), count=count, limit=limit)


def seconds_to_midnight(moment: datetime) -> int:
    """Whole seconds until the next UTC day, at least one."""
    tomorrow = datetime.combine(moment.date() + timedelta(days=1), time(), UTC)
    return max(1, int((tomorrow - moment).total_seconds()))
