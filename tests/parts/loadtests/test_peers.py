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


async def _heard_by_a_second_request(first: bytes) -> StreamTimes:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first)
        asked = await reader.readuntil(b"\r\n\r\n")
        assert asked.startswith(b"GET /events/abc ")
        for part in (HEAD, b"event: sources\r\n", b"event: token\r\n", b"0\r\n\r\n"):
            writer.write(part)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await read_streamed_answer(
            port,
            b"POST / HTTP/1.1\r\n\r\n",
            b"event: sources",
            b"event: token",
            lambda body: b"GET /events/%b HTTP/1.1\r\n\r\n" % body,
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


def test_a_stream_may_be_read_by_a_second_request_made_of_the_first_ones_answer() -> None:
    heard = asyncio.run(_heard_by_a_second_request(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
    assert 0 < heard.first_ms <= heard.words_ms


def test_a_question_that_is_not_taken_is_no_measurement() -> None:
    with pytest.raises(NoAnswer, match="not taken"):
        asyncio.run(_heard_by_a_second_request(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
