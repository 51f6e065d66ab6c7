"""A key's quota of the day: never exceeded, whoever counts and whatever restarts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.access.quotas import Quotas, seconds_to_midnight
from app.catalog import keys, usage
from app.catalog.engine import Catalog
from app.catalog.keys import Principal, Quota
from app.errors import QuotaExceeded

pytestmark = pytest.mark.anyio


class Clock:
    """The time of day, moved by the test."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


def _key(catalog: Catalog, quota: Quota) -> Principal:
    with catalog.write() as session:
        return keys.verify_key(session, keys.create_key(session, name="n", role="reader", quota=quota)[1])


async def _admitted(quotas: Quotas, who: Principal, count: int, what: usage.Counted = "questions") -> int:
    results = await asyncio.gather(*(quotas.admit(who, what) for _ in range(count)), return_exceptions=True)
    assert all(result is None or isinstance(result, QuotaExceeded) for result in results)
    return sum(result is None for result in results)


@pytest.mark.parametrize("limit", [1, 7, 450])
async def test_a_day_has_its_quota_and_the_next_one_its_own(catalog: Catalog, limit: int) -> None:
    clock = Clock()
    quotas, who = Quotas(catalog, clock=clock), _key(catalog, Quota(questions=limit))
    assert await _admitted(quotas, who, limit + 20) == limit
    assert await _admitted(quotas, who, 5) == 0
    clock.moment += timedelta(hours=2)
    assert await _admitted(quotas, who, limit + 20) == limit


async def test_processes_together_never_exceed_a_quota_and_lose_at_most_their_reserves(catalog: Catalog) -> None:
    clock, who = Clock(), _key(catalog, Quota(questions=600))
    first, second = Quotas(catalog, clock=clock), Quotas(catalog, clock=clock)
    admitted = await _admitted(first, who, 200) + await _admitted(second, who, 100)
    assert admitted == 300
    after_a_restart = Quotas(catalog, clock=clock)
    rest = await _admitted(after_a_restart, who, 600)
    assert 300 - 2 * (600 // 200) <= rest <= 300


async def test_requests_and_questions_are_counted_apart_and_no_quota_is_no_limit(catalog: Catalog) -> None:
    quotas = Quotas(catalog, clock=Clock())
    who = _key(catalog, Quota(requests=3))
    assert await _admitted(quotas, who, 10, "requests") == 3
    assert await _admitted(quotas, who, 10, "questions") == 10


async def test_a_refusal_says_when_to_come_back(catalog: Catalog) -> None:
    quotas, who = Quotas(catalog, clock=Clock()), _key(catalog, Quota(questions=1))
    await quotas.admit(who, "questions")
    with pytest.raises(QuotaExceeded, match="1 questions a day") as refused:
        await quotas.admit(who, "questions")
    assert (refused.value.problem.status, refused.value.retry_after_seconds) == (429, 2 * 3600)
    assert seconds_to_midnight(datetime(2026, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC)) == 1


async def test_a_raised_quota_counts_from_the_next_request(catalog: Catalog) -> None:
    quotas, who = Quotas(catalog, clock=Clock()), _key(catalog, Quota(questions=2))
    assert await _admitted(quotas, who, 5) == 2
    raised = Principal(who.key_id, who.name, who.role, who.collections, Quota(questions=5))
    assert await _admitted(quotas, raised, 10) == 3


async def test_a_flood_behind_a_used_up_quota_asks_the_catalog_once(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    quotas, who = Quotas(catalog, clock=Clock()), _key(catalog, Quota(questions=1))
    await _admitted(quotas, who, 2)
    monkeypatch.setattr(catalog, "write", lambda: pytest.fail("the catalog was asked again"))
    assert await _admitted(quotas, who, 200) == 0
