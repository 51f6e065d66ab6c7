"""A stream is measured by its events, and every way of not ending well is a broken one."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable, Iterator

import pytest

from loadtests.streams import Stream, read_stream

WHOLE = [b"event: retrieval", b'data: {"hits": []}', b"", b": ping", b"", b"event: token", b'data: {"text": "a"}', b"",
         b"event: token", b'data: {"text": "b"}', b"", b"event: done", b'data: {"answer": "ab"}', b""]  # fmt: skip


class Ticking:
    """A clock that each line of the stream moves on by a second."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.now, self._given = 0.0, lines

    def lines(self) -> Iterator[bytes]:
        for line in self._given:
            self.now += 1
            yield line + b"\r\n"


def read(lines: Iterable[bytes], leaves: Callable[[Stream], bool] = lambda _: False) -> Stream:
    clock = Ticking(lines)
    return read_stream(clock.lines(), lambda: clock.now, leaves)


def test_each_event_has_the_time_of_its_last_line_and_a_heartbeat_is_no_event() -> None:
    assert read(WHOLE) == Stream(first_event=3.0, first_token=8.0, last_token=11.0, tokens=2, end=14.0)


def test_a_reader_who_leaves_is_neither_ended_nor_broken() -> None:
    found = read(WHOLE, lambda stream: stream.first_token is not None)
    assert (found.left, found.end, found.broken) == (8.0, None, None)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "the stream ended without `done`"),
        (WHOLE[:8], "the stream ended without `done`"),
        (WHOLE[:-1], "the stream ended without `done`"),  # the empty line is what ends an event
        ([*WHOLE[:8], b"event: error", b'data: {"code": "model-unavailable"}', b""], "error event: model-unavailable"),
        ([*WHOLE[:8], b"event: error", b"data: nonsense", b""], "error event: without a code"),
    ],
)
def test_whatever_does_not_end_with_done_is_broken_and_says_why(lines: list[bytes], reason: str) -> None:
    found = read(lines)
    assert (found.broken, found.end) == (reason, None)


class HTTPParseError(http.client.HTTPException):
    """Named as geventhttpclient's own is, and of the same family: no OSError and no ValueError."""


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        ValueError("a parser's"),
        HTTPParseError(),
        http.client.IncompleteRead(b""),
        RuntimeError(),
    ],
)
def test_a_connection_that_dies_is_a_broken_stream_that_keeps_its_first_times(error: Exception) -> None:
    def dying() -> Iterator[bytes]:
        yield from WHOLE[:8]
        raise error

    found = read(dying())
    assert found.first_token == 8.0
    assert found.broken == f"{type(error).__name__} in the middle of the stream"


def test_each_event_is_told_when_it_happens_and_not_at_the_end() -> None:
    told = list[tuple[float, bool, int]]()
    clock = Ticking(WHOLE)
    read_stream(
        clock.lines(),
        lambda: clock.now,
        happened=lambda stream: told.append((clock.now, stream.first_token is not None, stream.tokens)),
    )
    assert told == [(3.0, False, 0), (8.0, True, 1), (11.0, True, 2), (14.0, True, 2)]
