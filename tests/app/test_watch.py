"""What the watching task says of a part, at every moment of a look."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from app.errors import IndexMismatch, SearchUnavailable
from app.watch import _note

pytestmark = pytest.mark.anyio


async def test_a_broken_part_stays_broken_until_a_look_has_found_it_well() -> None:
    service = SimpleNamespace(reasons={}, broken=set())
    going_on = asyncio.Event()
    end = asyncio.Event()

    async def mismatch() -> None:
        raise IndexMismatch("another model's index")

    async def slow() -> None:
        going_on.set()
        await end.wait()

    await _note(service, "search", mismatch)  # type: ignore[arg-type]
    assert (service.broken, service.reasons) == ({"search"}, {"search": "another model's index"})
    look = asyncio.ensure_future(_note(service, "search", slow))  # type: ignore[arg-type]
    await going_on.wait()
    assert service.broken == {"search"}  # a /readyz at this moment must not say that all is well
    end.set()
    await look
    assert (service.broken, service.reasons) == (set(), {})


async def test_a_part_that_is_away_is_a_reason_and_no_break() -> None:
    service = SimpleNamespace(reasons={}, broken={"search"})

    async def away() -> None:
        raise SearchUnavailable("away")

    await _note(service, "search", away)  # type: ignore[arg-type]
    assert (service.broken, service.reasons) == (set(), {"search": "away"})
