"""The rate limit: what is promised is admitted, however the requests arrive, and no more."""

from __future__ import annotations

import asyncio

import pytest

from app.access.rate_limit import KeyLimiter
from app.errors import RateLimited

pytestmark = pytest.mark.anyio


@pytest.fixture
def second() -> list[float]:
    """The seconds of a clock that nobody sets; a test moves it."""
    return [1_000.0]


async def _admitted(limiter: KeyLimiter, requests: int, key: str = "k") -> int:
    results = await asyncio.gather(*(limiter.admit(key) for _ in range(requests)), return_exceptions=True)
    assert all(result is None or isinstance(result, RateLimited) for result in results)
    return sum(result is None for result in results)


@pytest.mark.parametrize("requests", [1, 30, 60, 200])
async def test_requests_within_the_limit_all_pass_even_at_once(second: list[float], requests: int) -> None:
    assert await _admitted(KeyLimiter(None, per_second=200, clock=lambda: second[0]), requests) == requests


async def test_the_limit_holds_and_ends_with_the_second(second: list[float]) -> None:
    limiter = KeyLimiter(None, per_second=200, clock=lambda: second[0])
    assert await _admitted(limiter, 500) == 200
    assert await _admitted(limiter, 10) == 0
    assert await _admitted(limiter, 10, key="another") == 10
    second[0] += 1
    assert await _admitted(limiter, 500) == 200


async def test_a_limit_below_the_lease_is_kept_too(second: list[float]) -> None:
    assert await _admitted(KeyLimiter(None, per_second=3, clock=lambda: second[0]), 10) == 3


@pytest.mark.parametrize("hours", [-26, -2, 2, 26])
async def test_a_time_of_day_that_is_set_neither_keeps_a_key_refused_nor_gives_it_more(
    second: list[float], hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [1_700_000_000.0]
    monkeypatch.setattr("time.time", lambda: told[0])
    limiter = KeyLimiter(None, per_second=200, clock=lambda: second[0])
    assert await _admitted(limiter, 500) == 200
    told[0] += hours * 3600
    assert await _admitted(limiter, 500) == 0, "the second is not over"
    second[0] += 1
    assert await _admitted(limiter, 500) == 200
