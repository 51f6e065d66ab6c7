"""Two cache tiers of finished bytes: a dictionary in the process, then Redis. Without Redis answers are slower, never wrong.

Keys carry the release, the index and its generation, so a changed index or a new release never reads an old answer.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, Literal

from cachetools import TTLCache
from circuitbreaker import CircuitBreaker
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.observability.metrics import CACHE, CACHE_ERRORS, counter

Tier = Literal["hit-process", "hit-redis", "miss"]
Kind = Literal["search", "answer", "embedding", "document"]

_BREAKER_FAILURES: Final = 3
_BREAKER_SECONDS: Final = 5  # how long an unreachable Redis is not asked, so that requests do not wait for its timeout
_GATHERED_SECONDS: Final = 0.005  # how long a value waits for others, to be sent to Redis with them
_TTL_JITTER: Final = 0.1  # spreads expiry so that entries made together do not end together

bypassed: ContextVar[bool] = ContextVar("bypassed", default=False)  # this request neither reads nor fills a cache

_log = logging.getLogger(__name__)
_FAULTS: Final = (RedisError, OSError, TimeoutError)


class NotCacheable(bytes):
    """A computed value that is correct only at this moment: it is returned to its callers and never stored."""


class Cache:
    """A cache of bytes with single flight: when several callers in this process miss the
    same key, only one computes the value."""

    def __init__(self, redis: Redis | None, *, prefix: str, local_bytes: int, ttl_seconds: int) -> None:
        self._redis = redis
        self._prefix = prefix
        self._ttl_seconds = ttl_seconds
        self._local: TTLCache[str, bytes] = TTLCache(max(local_bytes, 1), max(ttl_seconds, 1), getsizeof=len)
        self._flights: dict[str, _Flight] = {}
        self._unwritten: list[tuple[str, bytes]] = []
        self._writes: set[asyncio.Task[None]] = set()
        self.breaker = CircuitBreaker(_BREAKER_FAILURES, _BREAKER_SECONDS, _FAULTS, name="redis")
        self._enabled = ttl_seconds > 0 and local_bytes > 0

    @property
    def enabled(self) -> bool:
        """Whether the cache is switched on, and this request may use it."""
        return self._enabled and not bypassed.get()

    @property
    def local_bytes(self) -> int:
        """How many bytes the tier in the process holds now."""
        return int(self._local.currsize)

    def key(self, kind: Kind, *parts: str) -> str:
        """A key of fixed length; the parts are separated so that different lists of parts never give the same key."""
        digest = hashlib.sha256("\x00".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()
        return f"{self._prefix}:{kind}:{digest}"

    async def get_or_compute(self, kind: Kind, key: str, compute: Callable[[], Awaitable[bytes]]) -> tuple[bytes, Tier]:
        """The cached bytes, or the result of `compute()`, which is stored in both tiers. Errors are never stored. The
        computation is cancelled when no caller is left."""
        if not self.enabled:
            return await compute(), "miss"
        found = self.local(kind, key)
        if found is not None:
            return found, "hit-process"
        flight = self._flights.get(key)
        if flight is None or flight.abandoned:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(self._fill(key, compute)))
            flight.task.add_done_callback(functools.partial(self._land, key, flight))
        value, tier = await flight.join()
        counter(CACHE, kind, tier).inc()
        return value, tier

    def local(self, kind: Kind, key: str) -> bytes | None:
        """The value from the tier in the process, without waiting; None when it is not there."""
        found = self._local.get(key) if self.enabled else None
        if found is not None:
            counter(CACHE, kind, "hit-process").inc()
        return found

    async def get(self, key: str) -> bytes | None:
        """The value from either tier, or None."""
        if not self.enabled:
            return None
        return self._local.get(key) or await self.shared_get(key)

    def put(self, key: str, value: bytes) -> None:
        """Store in both tiers: in the process at once, in Redis after a moment and together with others, so that nobody waits
        for it and four values cost little more than one."""
        if not self.enabled:
            return
        self._keep(key, value)
        if self._redis is None or self.breaker.opened:
            return
        self._unwritten.append((key, value))
        if len(self._unwritten) == 1:
            write = asyncio.get_running_loop().create_task(self._write(self._redis))
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Wait until Redis has what was put."""
        await asyncio.gather(*self._writes)

    async def _write(self, redis: Redis) -> None:
        await asyncio.sleep(_GATHERED_SECONDS)
        gathered, self._unwritten = self._unwritten, []
        pipeline = redis.pipeline(transaction=False)
        for key, value in gathered:
            pipeline.set(key, value, px=self._ttl_milliseconds())
        await self._ask(pipeline.execute)

    def _ttl_milliseconds(self) -> int:
        return int(1000 * self._ttl_seconds * random.uniform(1 - _TTL_JITTER, 1 + _TTL_JITTER))  # noqa: S311 - not a secret

    def _keep(self, key: str, value: bytes) -> None:
        if len(value) <= self._local.maxsize:
            self._local[key] = value

    def _land(self, key: str, flight: _Flight, _: object) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _fill(self, key: str, compute: Callable[[], Awaitable[bytes]]) -> tuple[bytes, Tier]:
        shared = await self.shared_get(key)
        if shared is not None:
            self._keep(key, shared)
            return shared, "hit-redis"
        value = await compute()
        if not isinstance(value, NotCacheable):
            self.put(key, value)
        return value, "miss"

    async def shared_get(self, key: str) -> bytes | None:
        """The value from Redis alone; None when it is not there or Redis is away."""
        if self._redis is None or self.breaker.opened:
            return None
        found: bytes | None = await self._ask(self._redis.get, key)
        return found

    async def shared_put(self, key: str, value: bytes) -> None:
        """Store a value in Redis alone, if it is not worth memory in each process."""
        if self._redis is None or self.breaker.opened:
            return
        await self._ask(self._redis.set, key, value, px=self._ttl_milliseconds())

    async def _ask(self, command: Callable[..., Awaitable[Any]], *arguments: object, **options: object) -> Any:
        """What Redis answers to a command; None, and a line in the log, when it does not answer."""
        try:
            return await self.breaker.call_async(command, *arguments, **options)
        except _FAULTS as error:
            CACHE_ERRORS.inc()
            _log.warning("redis does not answer; going on without the shared cache", extra={"error": repr(error)})
            return None


class _Flight:
    """One computation with several callers; cancelled when the last caller leaves."""

    def __init__(self, task: asyncio.Future[tuple[bytes, Tier]]) -> None:
        self.task = task
        self.abandoned = False  # cancelled but not finished: a new caller must start a new computation
        self._waiting = 0

    async def join(self) -> tuple[bytes, Tier]:
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiting -= 1
            if self._waiting == 0 and not self.task.done():
                self.abandoned = True
                self.task.cancel()
