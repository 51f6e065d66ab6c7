"""Requests at a fixed rate, each on a connection of its own, so that each is balanced anew, and whether the last one was answered or not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

TIMEOUT_SECONDS: Final = 15.0  # of a request; what takes longer has failed
_JOIN_SECONDS: Final = TIMEOUT_SECONDS + 5


@dataclass
class Load:
    """`failed`: when, in seconds after the begin, and how."""

    sent: int = 0
    failed: list[tuple[float, str]] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)


@contextmanager
def open_loop(url: str, headers: Mapping[str, str], body: Mapping[str, Any], *, per_second: float) -> Iterator[Load]:
    """POST `body` to `url` until the block ends; the last answers are waited for. `{number}` in the query makes each one different."""
    load = Load()
    thread = threading.Thread(target=lambda: asyncio.run(_send(load, url, headers, body, per_second)), name="open-loop")
    thread.start()  # its sockets are in the network of the thread that starts it
    try:
        yield load
    finally:
        load._stop.set()
        thread.join(_JOIN_SECONDS)


async def _send(load: Load, url: str, headers: Mapping[str, str], body: Mapping[str, Any], per_second: float) -> None:
    begin, waiting = time.monotonic(), set[asyncio.Task[None]]()
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(headers=dict(headers), timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False) as client:
        while not load._stop.is_set():
            load.sent += 1
            asked = {**body, "query": body["query"].format(number=load.sent)}
            task = asyncio.create_task(_ask(load, client, url, asked, begin))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            await asyncio.sleep(max(0.0, begin + load.sent / per_second - time.monotonic()))
        await asyncio.gather(*waiting)


async def _ask(load: Load, client: httpx.AsyncClient, url: str, body: Mapping[str, Any], begin: float) -> None:
    sent = time.monotonic()
    try:
        answer = await client.post(url, json=body)
        how = "" if answer.is_success and answer.json()["hits"] else f"{answer.status_code}: {answer.text[:200]}"
    except (httpx.HTTPError, OSError) as error:
        how = repr(error)
    load.milliseconds.append((time.monotonic() - sent) * 1000)
    if how:
        load.failed.append((sent - begin, how))
