"""Reads one streamed answer on a new connection, with the times of the first event with passages or words,
and of the first words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_SECONDS: Final = 30.0
_END: Final = b"0\r\n\r\n"  # of a chunked body
_PART_BYTES: Final = 65536


class NoAnswer(Exception):
    """The stream ended, or failed, before the words of an answer."""


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """Milliseconds from sending the request to the first event with passages or words, and to the first words of the answer."""

    first_ms: float
    words_ms: float


async def read_streamed_answer(
    port: int, request: bytes, sources: bytes | None, words: bytes, events: Callable[[bytes], bytes] | None = None
) -> StreamTimes:
    """`events` makes the request that reads the stream, of the answer to the first request; None when that is the stream itself.
    Raises `NoAnswer`, and `TimeoutError` after 30 s."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(_SECONDS):
            began = time.perf_counter()
            writer.write(request)
            if events is not None:
                writer.write(events(await _whole(reader)))
            return await _follow(reader, began, sources, words)
    finally:
        writer.close()


async def _whole(reader: asyncio.StreamReader) -> bytes:
    """The body of an answer with a Content-Length."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        if not head.startswith(b"http/1.1 200") or not length:
            raise NoAnswer(f"the question was not taken: {head!r}")
        return await reader.readexactly(int(length))
    except asyncio.IncompleteReadError as error:
        raise NoAnswer(f"the question was not taken: {error.partial!r}") from error


async def _follow(reader: asyncio.StreamReader, began: float, sources: bytes | None, words: bytes) -> StreamTimes:
    seen, first_ms, words_ms = bytearray(), None, None
    while part := await reader.read(_PART_BYTES):
        now_ms = (time.perf_counter() - began) * 1000
        seen += part
        if words_ms is None and words in seen:
            words_ms = now_ms
        if first_ms is None and (words_ms is not None or (sources is not None and sources in seen)):
            first_ms = now_ms
        if seen.endswith(_END):
            break
    if not seen.startswith(b"HTTP/1.1 200") or first_ms is None or words_ms is None:
        raise NoAnswer(f"no words of an answer came: {bytes(seen[-600:])!r}")
    return StreamTimes(first_ms, words_ms)
