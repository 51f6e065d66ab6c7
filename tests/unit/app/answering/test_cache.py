"""The cache: one computation for many callers, nothing kept of failures, work ends with its last reader."""

from __future__ import annotations

import asyncio

import pytest

from app.answering.cache import Cache, NotCacheable

pytestmark = pytest.mark.anyio


def _cache(**overrides: int) -> Cache:
    return Cache(None, prefix="t", **({"local_bytes": 10_000, "ttl_seconds": 60} | overrides))


class Work:
    """Counts its runs and waits until it is released."""

    def __init__(self, value: bytes | Exception = b"value") -> None:
        self.runs = 0
        self.cancelled = False
        self.release = asyncio.Event()
        self._value = value

    async def __call__(self) -> bytes:
        self.runs += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


async def settled() -> None:
    """Every task had its turns: none of them waits for anything but this test."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_many_callers_of_one_key_compute_once() -> None:
    cache, work = _cache(), Work()
    callers = [asyncio.create_task(cache.get_or_compute("search", "k", work)) for _ in range(20)]
    await asyncio.sleep(0)
    work.release.set()
    assert {value for value, _ in await asyncio.gather(*callers)} == {b"value"}
    assert work.runs == 1
    assert await cache.get_or_compute("search", "k", work) == (b"value", "hit-process")


async def test_failure_reaches_all_and_is_not_kept() -> None:
    cache, work = _cache(), Work(ValueError("no"))
    work.release.set()
    results = await asyncio.gather(*(cache.get_or_compute("search", "k", work) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, ValueError) for result in results)
    with pytest.raises(ValueError, match="no"):
        await cache.get_or_compute("search", "k", work)
    assert work.runs == 2


async def test_work_stops_when_the_last_caller_leaves_and_not_before() -> None:
    cache, work = _cache(), Work()
    callers = [asyncio.create_task(cache.get_or_compute("search", "k", work)) for _ in range(2)]
    await settled()
    callers[0].cancel()
    await settled()
    assert not work.cancelled
    callers[1].cancel()
    await settled()
    assert work.cancelled
    again = Work()
    again.release.set()
    assert await cache.get_or_compute("search", "k", again) == (b"value", "miss")


async def test_fleeting_values_are_given_but_not_kept() -> None:
    cache, work = _cache(), Work(NotCacheable(b"now"))
    work.release.set()
    await cache.get_or_compute("search", "k", work)
    await cache.get_or_compute("search", "k", work)
    assert work.runs == 2


async def test_no_two_lists_of_parts_share_a_key() -> None:
    cache = _cache()
    keys = {cache.key("search", *parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), ("a\x00b", "c"))}
    assert len(keys) == 5
    assert cache.key("search", "a") != cache.key("answer", "a")


async def test_zero_seconds_turns_the_cache_off() -> None:
    cache, work = _cache(ttl_seconds=0), Work()
    work.release.set()
    assert (await cache.get_or_compute("search", "k", work))[1] == "miss"
    assert (await cache.get_or_compute("search", "k", work))[1] == "miss"


async def test_the_process_tier_is_bounded_in_bytes() -> None:
    cache = _cache(local_bytes=100)
    cache.put("small", b"x" * 60)
    cache.put("other", b"y" * 60)
    cache.put("large", b"z" * 101)
    assert cache.local("search", "small") is None
    assert cache.local("search", "other") == b"y" * 60
    assert cache.local("search", "large") is None
