"""An HTTP client for open-loop and closed-loop load. Open: requests are sent on a schedule, and latency counts from the scheduled
time, so that waiting is not hidden. Closed: a fixed number of clients, each of which sends when its last answer has come. One
client shows how long a request takes alone; many show what a request costs when the process is never idle."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

CONNECTIONS: Final = 32  # more would be open only when the rate is too high for the server, which then shows as latency
ANSWER_SECONDS: Final = 30.0


class Unanswered(Exception):
    """The server did not answer a request in time, or closed the connection."""


@dataclass
class ResponseTimes:
    """Milliseconds from the scheduled time (closed: from sending): to the end of each answer, and to its first byte of body. Answers by status and tier."""

    done_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    tiers: dict[str, int] = field(default_factory=dict)  # number of answers by X-Cache
    last_body: bytes = b""
    seconds: float = 0.0

    def add(self, connection: _Connection, status: int, body: bytes, since: float) -> None:
        ended = time.perf_counter()
        self.done_ms.append((ended - since) * 1000)
        self.first_ms.append(((connection.first_at or ended) - since) * 1000)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.tiers[connection.tier] = self.tiers.get(connection.tier, 0) + 1
        self.last_body = body


def post_request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of a POST request, made before the measurement starts."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nHost: bench\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def get_request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


class _Connection(asyncio.Protocol):
    """A connection with one request at a time. It supports Content-Length and chunked bodies, which is all that is needed."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._body_from = -1
        self._length = -1
        self.first_at = 0.0
        self.tier = ""
        self.answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        self._buffer.clear()
        self._body_from, self._length, self.first_at = -1, -1, 0.0
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)  # type: ignore[attr-defined]
        return self.answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._body_from < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._body_from = end + 4
            head = bytes(self._buffer[:end]).lower()
            at = head.find(b"\r\ncontent-length:")
            self._length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else -1
            at = head.find(b"\r\nx-cache:")
            self.tier = head[at + 10 :].split(b"\r\n", 1)[0].decode().strip() if at >= 0 else ""
        have = len(self._buffer) - self._body_from
        if have and not self.first_at:
            self.first_at = time.perf_counter()
        whole = have >= self._length if self._length >= 0 else self._buffer.endswith(b"0\r\n\r\n")
        if whole and self.answer is not None and not self.answer.done():
            self.answer.set_result((int(self._buffer[9:12]), bytes(self._buffer[self._body_from :])))

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(Unanswered(f"the connection was closed: {error}"))


async def run_open_loop(port: int, requests: Sequence[bytes], *, per_second: float) -> ResponseTimes:
    """Send `requests` to loopback at `per_second`; raises `Unanswered`."""
    loop = asyncio.get_running_loop()
    idle: deque[_Connection] = deque()
    opened: list[_Connection] = []
    free = asyncio.Semaphore(CONNECTIONS)
    sample = ResponseTimes()
    start = time.perf_counter() + 0.05

    async def one(request: bytes, due: float) -> None:
        async with free:
            if idle:
                connection = idle.pop()
            else:
                _, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
                opened.append(connection)
            async with asyncio.timeout(ANSWER_SECONDS):
                status, body = await connection.ask(request)
            sample.add(connection, status, body, due)
            idle.append(connection)

    try:
        async with asyncio.TaskGroup() as group:
            for number, request in enumerate(requests):
                due = start + number / per_second
                wait = due - time.perf_counter()
                if wait > 0:
                    await asyncio.sleep(wait)
                group.create_task(one(request, due))
    except* TimeoutError:
        raise Unanswered(f"no answer within {ANSWER_SECONDS:.0f} s") from None
    finally:
        for connection in opened:
            connection.transport.close()
    sample.seconds = time.perf_counter() - start
    return sample


async def run_closed_loop(port: int, requests: Sequence[bytes], *, clients: int) -> ResponseTimes:
    """Send `requests` to loopback by `clients` that each wait for their answer; raises `Unanswered`."""
    loop, left, sample = asyncio.get_running_loop(), iter(requests), ResponseTimes()
    start = time.perf_counter()

    async def one() -> None:
        transport, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
        try:
            for request in left:
                sent = time.perf_counter()
                async with asyncio.timeout(ANSWER_SECONDS):
                    status, body = await connection.ask(request)
                sample.add(connection, status, body, sent)
        finally:
            transport.close()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(one())
    except* TimeoutError:
        raise Unanswered(f"no answer within {ANSWER_SECONDS:.0f} s") from None
    sample.seconds = time.perf_counter() - start
    return sample
