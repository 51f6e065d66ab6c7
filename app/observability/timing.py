"""Where a request's time went, for its own answer's Server-Timing header (w3.org/TR/server-timing): `embed;dur=3.1, search;dur=8.0, total;dur=12.4`.

Parts that wait for each other are added up; what a cache answered has none. A stream's header leaves before its parts are known, so it has no parts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

Parts = dict[str, float]  # seconds by part: queue, embed, search, fuse, model

_parts: ContextVar[Parts | None] = ContextVar("timing", default=None)


def begin_timing() -> tuple[Parts, Token[Parts | None]]:
    """For one request. Tasks that it starts write to the same parts."""
    parts: Parts = {}
    return parts, _parts.set(parts)


def end_timing(token: Token[Parts | None]) -> None:
    _parts.reset(token)


def add_timing(name: str, seconds: float) -> None:
    """Outside a request, in a worker say, nothing happens."""
    parts = _parts.get()
    if parts is not None:
        parts[name] = parts.get(name, 0.0) + seconds


@contextmanager
def time_part(name: str) -> Iterator[None]:
    """Adds the block's time to a part."""
    began = time.perf_counter()
    try:
        yield
    finally:
        add_timing(name, time.perf_counter() - began)


def timing_header(parts: Parts, total_seconds: float) -> bytes:
    """The header's value, in milliseconds."""
    return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in [*parts.items(), ("total", total_seconds)]).encode()
