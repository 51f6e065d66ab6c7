"""Second requests: sent when the first has no answer for long, as far as the budget goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from app.search.elasticsearch.hedge import MOST_SAVED, SHARE, HedgeBudget, hedged

pytestmark = pytest.mark.anyio
SOON_SECONDS = 0.0  # a call that waits for anything at all is late
LATE_SECONDS = 60.0


class Engine:
    """Answers its first requests as told, one behaviour each: "silent", "late", "failed" or "answered". The last one counts for all that follow."""

    def __init__(self, *behaviours: str) -> None:
        self.behaviours, self.asked, self.cancelled = behaviours, 0, 0
        self.asked_twice = asyncio.Event()

    async def __call__(self) -> int:
        number = self.asked
        self.asked += 1
        if self.asked == 2:
            self.asked_twice.set()
        match self.behaviours[min(number, len(self.behaviours) - 1)]:
            case "silent":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.cancelled += 1
                    raise
            case "late":
                for _ in range(10):
                    await asyncio.sleep(0)
            case "failed":
                raise ConnectionError(number)
        return number


def empty() -> HedgeBudget:
    budget = HedgeBudget()
    while budget.spend():
        pass
    return budget


async def test_a_call_without_an_answer_is_sent_again_and_the_answer_is_taken() -> None:
    engine = Engine("silent", "answered")
    assert await hedged(engine, SOON_SECONDS, HedgeBudget()) == 1
    assert engine.cancelled == 1, "nobody waits for the first any more"


async def test_an_answer_in_time_costs_no_second_request() -> None:
    engine, budget = Engine("answered"), HedgeBudget()
    assert await hedged(engine, LATE_SECONDS, budget) == 0
    assert engine.asked == 1
    assert sum(iter(budget.spend, False)) == MOST_SAVED


async def test_a_failed_second_request_leaves_the_first_its_time() -> None:
    """The first answers after the second has failed."""
    second_failed = asyncio.Event()

    async def engine() -> str:
        if not asked:
            asked.append("first")
            await second_failed.wait()
            return "first"
        second_failed.set()
        raise ConnectionError

    asked: list[str] = []
    assert await hedged(engine, SOON_SECONDS, HedgeBudget()) == "first"


@pytest.mark.parametrize("budget", [HedgeBudget, empty])
async def test_a_failure_is_raised_when_nothing_is_left_that_could_succeed(budget: Callable[[], HedgeBudget]) -> None:
    with pytest.raises(ConnectionError):
        await hedged(Engine("failed"), LATE_SECONDS, budget())


def test_an_engine_that_is_slow_for_everybody_gets_a_fifth_more_requests_and_no_more() -> None:
    calls, budget, second = 1000, HedgeBudget(), 0
    for _ in range(calls):
        budget.earn()
        second += budget.spend()
    assert second == pytest.approx(calls * SHARE + MOST_SAVED, abs=1)


async def test_without_a_budget_the_first_request_has_all_the_time() -> None:
    """It answers when the event loop has nothing else left to do, which a second request would be."""
    engine = Engine("late", "answered")
    assert await hedged(engine, SOON_SECONDS, empty()) == 0
    assert engine.asked == 1


async def test_who_leaves_takes_both_requests_along() -> None:
    engine = Engine("silent")
    caller = asyncio.create_task(hedged(engine, SOON_SECONDS, HedgeBudget()))
    await engine.asked_twice.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert engine.cancelled == 2
