"""Hedged requests: a call that has no answer for long is sent a second time, and the first answer of the two is taken.

It is for an engine of several nodes of which one is gone without a word. Until the others have taken it out, for a minute and a half, a call
that is sent to it has no answer, and a second one mostly goes to another node. Source: Dean and Barroso, "The Tail at Scale" (2013).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from app.observability.metrics import HEDGES

T = TypeVar("T")
SHARE: Final = 0.2  # second requests of all calls: an engine that is merely slow gets a fifth more to do, not twice as much
MOST_SAVED: Final = 10.0  # second requests that quiet times save up for the first moments of a fault


class HedgeBudget:
    """How many second requests may be sent now: each call adds `SHARE` of one, up to `MOST_SAVED`."""

    def __init__(self) -> None:
        self._saved = MOST_SAVED

    def earn(self) -> None:
        self._saved = min(MOST_SAVED, self._saved + SHARE)

    def spend(self) -> bool:
        """Whether a second request may be sent; if so, it is counted."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


async def hedged(call: Callable[[], Coroutine[Any, Any, T]], after_seconds: float, budget: HedgeBudget) -> T:
    """The result of `call`, which is started a second time if it has not ended after `after_seconds` and the budget allows it.
    The first success counts, and the other one is cancelled. Raises what the one that failed last raised."""
    budget.earn()
    running = {asyncio.create_task(call())}
    try:
        done, running = await asyncio.wait(running, timeout=after_seconds)
        if running and budget.spend():
            HEDGES.inc()
            running.add(asyncio.create_task(call()))
        while not done or (running and all(one.exception() for one in done)):
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        return min(done, key=lambda one: one.exception() is not None).result()  # a success, if there is one
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
