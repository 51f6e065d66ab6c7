"""What a JSON body costs before it is parsed: how many values it holds, and how much of all bodies a process keeps in memory.

A parser makes an object of 60 to 200 bytes for each value, and validation a longer one for each wrong one, so that 20 MB of `[[],[],...`
became gigabytes. Counting the values takes no memory and at most a tenth of a second for the largest body.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from typing import Final

from starlette.requests import Request

from app.errors import InvalidRequest, RateLimited
from contract.bodies import QUESTION_BYTES

MAX_VALUES: Final = 2_000  # a search with every filter has 300; what is longer than this no route takes
# Bodies above this share a process's room; smaller ones are questions, which must never wait for documents.
_LARGE_BYTES: Final = QUESTION_BYTES
_ROOM_BYTES: Final = 64_000_000  # three of the largest bodies; each may become six times as large while it is read

_ARRIVAL_SECONDS: Final = 60.0  # a body that takes longer holds room that others need: 20 MB in that time are 3 Mbit/s

# A whole string, so that what is in it is not counted. Possessive: it never goes back.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BETWEEN: Final = re.compile(rb'[^"]*+')


def check_values(raw: bytes) -> None:
    """Raises InvalidRequest for a body with more than MAX_VALUES values. Linear in the length; broken JSON is left to the parser."""
    values, at = 0, 0
    while at < len(raw):
        between = _BETWEEN.match(raw, at)
        end = between.end() if between else at
        values += raw.count(b",", at, end) + raw.count(b"[", at, end) + raw.count(b"{", at, end)
        if values > MAX_VALUES:
            raise InvalidRequest(f"The body holds more than {MAX_VALUES} values, the limit of a request.")
        string = _STRING.match(raw, end)
        if string is None:
            return
        at = string.end()


class BodyMemory:
    """How many bytes of large bodies this process holds now."""

    def __init__(self) -> None:
        self._held_bytes = 0

    @contextlib.contextmanager
    def keep(self, declared_bytes: int) -> Iterator[None]:
        """Room for one body while it is read and answered; raises RateLimited when there is none."""
        kept = declared_bytes if declared_bytes > _LARGE_BYTES else 0
        if kept and self._held_bytes and self._held_bytes + kept > _ROOM_BYTES:
            raise RateLimited("This process is reading as many large documents as it has room for.", retry_after_seconds=1)
        self._held_bytes += kept
        try:
            yield
        finally:
            self._held_bytes -= kept


async def read_body(request: Request) -> bytes:
    """The body, with no more values than a request may have. Raises InvalidRequest, also when it does not arrive in time."""
    try:
        async with asyncio.timeout(_ARRIVAL_SECONDS):
            raw = await request.body()
    except TimeoutError:
        raise InvalidRequest(f"The body did not arrive within {_ARRIVAL_SECONDS:.0f} s.") from None
    check_values(raw)
    return raw
