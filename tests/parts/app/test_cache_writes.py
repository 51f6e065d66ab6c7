"""What the cache puts reaches a real Redis a moment later, in one call for all that was put meanwhile."""

from __future__ import annotations

import pytest
import redis

from app.answering.cache import Cache
from app.redis_client import open_redis
from tests.services.redis_process import RedisProcess

pytestmark = [pytest.mark.anyio, pytest.mark.integration]


async def test_values_put_at_once_reach_redis_in_one_call_and_none_is_lost_when_the_cache_closes(
    redis_server: RedisProcess,
) -> None:
    client, look = open_redis(redis_server.url), redis.Redis.from_url(redis_server.url)
    cache = Cache(client, prefix="t", local_bytes=10_000, ttl_seconds=60)
    before = look.info("stats")["total_reads_processed"]  # type: ignore[index]
    for number in range(40):
        cache.put(f"together {number}", b"v")
    assert cache.local("search", "together 39") == b"v", "this process has it at once"
    await cache.close()
    reads = look.info("stats")["total_reads_processed"] - before  # type: ignore[index]
    assert reads < 20, "of the 40 values, the client's greeting and these two looks"
    assert all(look.get(f"together {number}") == b"v" for number in range(40))
    assert 54_000 - 5_000 < look.pttl("together 0") <= 66_000, "a minute, a tenth more or less"  # type: ignore[operator]
    other = Cache(client, prefix="t", local_bytes=10_000, ttl_seconds=60)
    cache.put("later", b"v")
    await cache.close()
    assert await other.get("later") == b"v", "another process finds it"
    await client.aclose()


async def test_a_redis_that_is_away_costs_the_caller_nothing() -> None:
    client = open_redis("redis://127.0.0.1:1/0")
    cache = Cache(client, prefix="t", local_bytes=10_000, ttl_seconds=60)
    cache.put("k", b"v")
    await cache.close()
    assert cache.local("search", "k") == b"v"
    await client.aclose()
