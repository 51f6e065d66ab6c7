"""Reads one streamed answer on a new connection, with the times of the first event with passages or words,
and of the first words."""

from __future__ import annotations

import asyncio
import time
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


async def read_streamed_answer(port: int, request: bytes, sources: bytes | None, words: bytes) -> StreamTimes:
    """Raises `NoAnswer`, and `TimeoutError` after 30 s."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(_SECONDS):
            began = time.perf_counter()
            writer.write(request)
            return await _follow(reader, began, sources, words)
    finally:
        writer.close()


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
