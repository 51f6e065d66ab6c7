"""The rate limit: what is promised is admitted, however the requests arrive, and no more."""

from __future__ import annotations

import asyncio

import pytest

from app.access import rate_limit
from app.access.rate_limit import KeyLimiter
from app.errors import RateLimited

pytestmark = pytest.mark.anyio


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day as the limiter and its library read it; a test moves it."""
    now = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    assert rate_limit.time.time() == now[0]
    return now


async def _admitted(limiter: KeyLimiter, requests: int, key: str = "k") -> int:
    results = await asyncio.gather(*(limiter.admit(key) for _ in range(requests)), return_exceptions=True)
    assert all(result is None or isinstance(result, RateLimited) for result in results)
    return sum(result is None for result in results)


@pytest.mark.parametrize("requests", [1, 30, 60, 200])
async def test_requests_within_the_limit_all_pass_even_at_once(second: list[float], requests: int) -> None:
    assert await _admitted(KeyLimiter(None, per_second=200), requests) == requests


async def test_the_limit_holds_and_ends_with_the_second(second: list[float]) -> None:
    limiter = KeyLimiter(None, per_second=200)
    assert await _admitted(limiter, 500) == 200
    assert await _admitted(limiter, 10) == 0
    assert await _admitted(limiter, 10, key="another") == 10
    second[0] += 1
    assert await _admitted(limiter, 500) == 200


async def test_a_limit_below_the_lease_is_kept_too(second: list[float]) -> None:
    assert await _admitted(KeyLimiter(None, per_second=3), 10) == 3
