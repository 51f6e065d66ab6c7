"""The comparison with peers: only equal work is compared, and a missed aim is called missed."""

from __future__ import annotations

import asyncio

import pytest

from loadtests.peers.streamed import NoAnswer, StreamTimes, read_streamed_answer


async def _heard(parts: list[bytes], sources: bytes | None) -> StreamTimes:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        return await read_streamed_answer(
            server.sockets[0].getsockname()[1], b"POST / HTTP/1.1\r\n\r\n", sources, b"event: token"
        )


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_stream_without_sources_begins_with_its_words() -> None:
    heard = asyncio.run(_heard([HEAD, b"event: token\r\n", b"0\r\n\r\n"], None))
    assert 0 < heard.first_ms == heard.words_ms


def test_sources_come_no_later_than_words() -> None:
    heard = asyncio.run(_heard([HEAD, b"event: sources\r\n", b"event: token\r\n", b"0\r\n\r\n"], b"event: sources"))
    assert 0 < heard.first_ms <= heard.words_ms


@pytest.mark.parametrize("parts", [[HEAD, b"event: sources\r\n", b"0\r\n\r\n"], [b"HTTP/1.1 500 No\r\n\r\nevent: token"], []])
def test_a_stream_without_an_answer_is_no_measurement(parts: list[bytes]) -> None:
    with pytest.raises(NoAnswer):
        asyncio.run(_heard(parts, b"event: sources"))
