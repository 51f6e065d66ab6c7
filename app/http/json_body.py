"""Limits on a JSON body that are checked before it is parsed: the number of its values,
and the memory of all bodies in a process.

A parser makes an object of 60 to 200 bytes for each value, and validation a larger one for each wrong value, so that 20 MB of
`[[],[],...` took gigabytes of memory. Counting the values takes no memory, and at most a tenth of a second for the largest body.
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

MAX_VALUES: Final = 2_000  # a search with every filter has 300 values, and no route needs more than this limit
# Bodies above this size share the process's room. Smaller ones may be questions, which must
# never be refused because of documents.
_LARGE_BYTES: Final = QUESTION_BYTES
_ROOM_BYTES: Final = 64_000_000  # three of the largest bodies; each may become six times as large while it is read

_ARRIVAL_SECONDS: Final = 60.0  # a slower body occupies room that others need; 20 MB in this time are 3 Mbit/s

# A whole JSON string, so that commas and brackets in it are not counted. Possessive quantifiers: it never backtracks.
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
    """Counts the bytes of large bodies that this process keeps in memory now."""

    def __init__(self) -> None:
        self._held_bytes = 0

    @contextlib.contextmanager
    def keep(self, declared_bytes: int) -> Iterator[None]:
        """Reserve room for one body while it is read and answered; raises RateLimited when there is none."""
        kept = declared_bytes if declared_bytes > _LARGE_BYTES else 0
        if kept and self._held_bytes and self._held_bytes + kept > _ROOM_BYTES:
            raise RateLimited("This process is reading as many large documents as it has room for.", retry_after_seconds=1)
        self._held_bytes += kept
        try:
            yield
        finally:
            self._held_bytes -= kept


async def read_body(request: Request) -> bytes:
    """Read the body of a request. Raises InvalidRequest when it has too many values or does not arrive in time."""
    try:
        async with asyncio.timeout(_ARRIVAL_SECONDS):
            raw = await request.body()
    except TimeoutError:
        raise InvalidRequest(f"The body did not arrive within {_ARRIVAL_SECONDS:.0f} s.") from None
    check_values(raw)
    return raw
