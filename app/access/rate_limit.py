"""The rate limit of each key in requests per second, counted over all processes in Redis,
or in this process while Redis is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from cachetools import LRUCache, TTLCache
from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from app.errors import RateLimited
from app.redis_client import client_options

_LEASES_PER_SECOND: Final = 20  # a process asks Redis for a twentieth of the limit at a time, not for every request
_LEFT_ALONE_SECONDS: Final = 5.0  # an unreachable Redis is tried again after this, so that not every request waits for it

_KEYS: Final = 10_000  # keys and addresses remembered at once
_IDLE_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


class _Lease:
    """A process's share of one key's current one-second window, measured by a monotonic clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.asking = asyncio.Lock()
        self._clock = clock
        self._window = -1
        self._left = 0
        self._used_up_window = -1

    def take(self) -> bool:
        if self._window != int(self._clock()) or self._left == 0:
            return False
        self._left -= 1
        return True

    def renew(self, granted: int) -> None:
        self._window, self._left = int(self._clock()), granted

    def use_up(self) -> None:
        self._used_up_window = int(self._clock())

    def is_used_up(self) -> bool:
        return self._used_up_window == int(self._clock())


class _OwnWindows:
    """Fixed one-second windows of this process alone, by a monotonic clock. The library's windows end by the time of day: if the
    clock is set back by two hours, a key with a used-up window would be refused for two hours."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        self._per_second, self._clock = per_second, clock
        self._counted: LRUCache[str, tuple[int, int]] = LRUCache(_KEYS)  # key id -> (window, requests admitted in it)

    def hit(self, key_id: str, cost: int) -> bool:
        window = int(self._clock())
        begun, count = self._counted.get(key_id, (window, 0))
        after = cost if begun != window else count + cost
        if after > self._per_second:
            return False
        self._counted[key_id] = (window, after)
        return True


class KeyLimiter:
    """Limits each key in fixed one-second windows. Processes lease small shares of a window, so
    that most requests need no round trip."""

    def __init__(self, redis_url: str | None, *, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._item = RateLimitItemPerSecond(per_second)
        self._per_second = per_second
        self._chunk = max(1, per_second // _LEASES_PER_SECOND)
        self._local = _OwnWindows(per_second, clock)
        self._shared = (
            FixedWindowRateLimiter(RedisStorage(f"async+{redis_url}", implementation="redispy", **client_options()))
            if redis_url
            else None
        )
        self._leases: TTLCache[str, _Lease] = TTLCache(_KEYS, _IDLE_SECONDS)
        self._shared_after_seconds = float("-inf")

    async def admit(self, key_id: str) -> None:
        """Count one request; raises RateLimited when the key's window is used up."""
        lease = self._leases.get(key_id)
        if lease is None:
            lease = self._leases[key_id] = _Lease(self._clock)
        if lease.take():
            return
        async with lease.asking:  # one request leases for all that wait; a lease for each would use up the window
            if lease.take():
                return
            if not lease.is_used_up() and (granted := await self._lease(key_id)):
                lease.renew(granted)
                lease.take()
                return
            lease.use_up()
        raise RateLimited(f"This key may send {self._per_second} requests a second and has sent them.", retry_after_seconds=1)

    async def _lease(self, key_id: str) -> int:
        for cost in (self._chunk, 1):
            if await self._hit(key_id, cost):
                return cost
        return 0

    async def _hit(self, key_id: str, cost: int) -> bool:
        if self._shared is not None and self._clock() >= self._shared_after_seconds:
            try:
                return await self._shared.hit(self._item, key_id, cost=cost)
            except (RedisError, OSError, TimeoutError) as error:
                self._shared_after_seconds = self._clock() + _LEFT_ALONE_SECONDS
                _log.warning("redis does not answer; limiting requests in this process alone", extra={"error": repr(error)})
        return self._local.hit(key_id, cost)
