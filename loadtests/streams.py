"""Measures one streamed answer by its events: first event, first token, end, left, broken.
Pure: lines and a clock in, times out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass
class Stream:
    """Times of the events in seconds since the request was due; None for events that did not happen.
    `broken`: why a begun stream failed."""

    first_event: float | None = None
    first_token: float | None = None
    last_token: float | None = None
    tokens: int = 0
    end: float | None = None
    left: float | None = None
    broken: str | None = None


def _nothing(_: Stream) -> None:
    """The default callback, which does nothing."""


def _stays(_: Stream) -> bool:
    return False


def read_stream(
    lines: Iterable[bytes],
    elapsed: Callable[[], float],
    leaves: Callable[[Stream], bool] = _stays,
    happened: Callable[[Stream], None] = _nothing,
) -> Stream:
    """Read server-sent events until `done`, `error` or the end of the connection, or until `leaves`,
    which is called after each event, is true.

    `happened` is called right after each event, so that a caller can count it when it happens and not when the stream ends. Any
    exception while reading means a broken stream, because HTTP clients raise many kinds of errors in the middle of an answer.
    """
    found, name, data = Stream(), "", b""
    given = iter(lines)
    while True:
        try:
            line = next(given, None)
        except Exception as error:  # noqa: BLE001 - see the docstring
            found.broken = f"{type(error).__name__} in the middle of the stream"
            return found
        if line is None:
            found.broken = "the stream ended without `done`"
            return found
        line = line.rstrip(b"\r\n")
        if line.startswith(b"event:"):
            name = line[6:].strip().decode(errors="replace")
        elif line.startswith(b"data:"):
            data += line[5:].lstrip()
        elif not line and name:  # an empty line ends an event; a comment (":") is a heartbeat and no event
            _take(found, name, data, elapsed())
            name, data = "", b""
            happened(found)
            if found.end is not None or found.broken is not None:
                return found
            if leaves(found):
                found.left = elapsed()
                return found


def _take(found: Stream, name: str, data: bytes, now: float) -> None:
    if found.first_event is None:
        found.first_event = now
    if name == "token":
        if found.first_token is None:
            found.first_token = now
        found.last_token, found.tokens = now, found.tokens + 1
    elif name == "done":
        found.end = now
    elif name == "error":
        found.broken = f"error event: {_code(data)}"


def _code(data: bytes) -> str:
    try:
        return str(json.loads(data)["code"])
    except (ValueError, KeyError, TypeError):
        return "without a code"
