"""Responses made of cached bytes, and cancellation of work whose client has disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from fastapi import Request
from fastapi.responses import Response

from app.answering.cache import Tier

T = TypeVar("T")
_LOOK_SECONDS: Final = 0.2  # between two checks for a disconnect, so the work stops this much later at most


class ClientLeft(Exception):
    """The client disconnected before the answer was ready."""


def json_bytes(body: bytes, tier: Tier, status: int = 200) -> Response:
    """A JSON response with a header that names the cache tier it came from."""
    return Response(body, status, headers={"X-Cache": tier, "Cache-Control": "no-store"}, media_type="application/json")


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`. When the client disconnects, cancels it and raises ClientLeft."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)
            if not task.done() and await request.is_disconnected():
                raise ClientLeft
        return task.result()
    finally:
        task.cancel()
