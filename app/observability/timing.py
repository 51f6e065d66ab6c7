"""Measures where a request's time went, for the Server-Timing header (w3.org/TR/server-timing) of its answer:
`embed;dur=3.1, search;dur=8.0, total;dur=12.4`.

Times of the same part are added up. An answer from a cache has no parts, and neither has a stream, whose
header is sent before its parts are known.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

Parts = dict[str, float]  # seconds by part: queue, embed, search, fuse, model

_parts: ContextVar[Parts | None] = ContextVar("timing", default=None)


def begin_timing() -> tuple[Parts, Token[Parts | None]]:
    """Begin to measure one request; tasks that it starts add to the same parts."""
    parts: Parts = {}
    return parts, _parts.set(parts)


def end_timing(token: Token[Parts | None]) -> None:
    _parts.reset(token)


def add_timing(name: str, seconds: float) -> None:
    """Add seconds to a part of the current request; does nothing outside a request, for example in a worker."""
    parts = _parts.get()
    if parts is not None:
        parts[name] = parts.get(name, 0.0) + seconds


@contextmanager
def time_part(name: str) -> Iterator[None]:
    """A context that adds the time of its block to a part."""
    began = time.perf_counter()
    try:
        yield
    finally:
        add_timing(name, time.perf_counter() - began)


def timing_header(parts: Parts, total_seconds: float) -> bytes:
    """The value of the Server-Timing header, in milliseconds."""
    return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in [*parts.items(), ("total", total_seconds)]).encode()
