"""Limits on a JSON body that are checked before it is parsed: the number of its values, the time in which it arrives,
and the memory of all bodies in a process.

A parser makes an object of 60 to 200 bytes for each value, and validation a larger one for each wrong value, so that 20 MB of
`[[],[],...` took gigabytes of memory. Counting the values takes no memory, and at most a tenth of a second for the largest body.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive

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
    if len(raw) <= MAX_VALUES:  # every value takes a byte or more
        return
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

    def reserve(self, declared_bytes: int) -> int:
        """Reserve room for one body while it is read and answered. Returns the bytes to release afterwards, 0 for a body that
        needs no room; raises RateLimited when there is none."""
        if declared_bytes <= _LARGE_BYTES:
            return 0
        if self._held_bytes and self._held_bytes + declared_bytes > _ROOM_BYTES:
            raise RateLimited("This process is reading as many large documents as it has room for.", retry_after_seconds=1)
        self._held_bytes += declared_bytes
        return declared_bytes

    def release(self, reserved_bytes: int) -> None:
        """Give back what `reserve` returned."""
        self._held_bytes -= reserved_bytes


class BodyReader:
    """Reads the bodies of requests and ends those that do not arrive in time. All of them share one timer, because a timer for
    each body took a tenth of a cached search's CPU."""

    def __init__(self, *, arrival_seconds: float = _ARRIVAL_SECONDS) -> None:
        self._arrival_seconds = arrival_seconds
        self._began: dict[asyncio.Task[Any], float] = {}  # the tasks that wait for a body, the oldest first
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, receive: Receive) -> bytes:
        """The whole body. Raises InvalidRequest when it has too many values or does not arrive in time, and ClientDisconnect."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of an ASGI server runs in a task
        self._began[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._arrival_seconds, self._end_late)
        try:
            raw = await _whole_body(receive)
        except asyncio.CancelledError:
            if task in self._began or task.uncancel() > 0:  # cancelled by somebody else
                raise
            raise InvalidRequest(f"The body did not arrive within {self._arrival_seconds:.0f} s.") from None
        finally:
            self._began.pop(task, None)
        check_values(raw)
        return raw

    def _end_late(self) -> None:
        loop = asyncio.get_running_loop()
        latest = loop.time() - self._arrival_seconds
        for task in [task for task, began in self._began.items() if began <= latest]:
            del self._began[task]
            task.cancel()
        oldest = next(iter(self._began.values()), None)
        self._timer = None if oldest is None else loop.call_at(oldest + self._arrival_seconds, self._end_late)


async def _whole_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
