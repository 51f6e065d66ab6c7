"""A request's parts are added up for its own header, and nobody else's."""

from __future__ import annotations

import asyncio

from app.observability import timing


def test_parts_of_one_request_are_added_up_in_its_tasks_and_not_in_another_s() -> None:
    async def request(seconds: float) -> bytes:
        parts, token = timing.begin_timing()
        timing.add_timing("search", seconds)
        await asyncio.create_task(_search(seconds))
        timing.end_timing(token)
        timing.add_timing("search", 99.0)  # after it, nothing is written anywhere
        return timing.timing_header(parts, 1.0)

    async def both() -> list[bytes]:
        return await asyncio.gather(request(0.001), request(0.002))

    assert asyncio.run(both()) == [b"search;dur=2.0, total;dur=1000.0", b"search;dur=4.0, total;dur=1000.0"]


async def _search(seconds: float) -> None:
    timing.add_timing("search", seconds)
