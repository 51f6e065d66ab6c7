"""A service with the HTTP API's form and nothing behind it, which misbehaves as its options say: what a load test must notice.

`python -m tests.parts.loadtests.service --port 9000 [--refuse 0.1] [--break-streams 0.1] [--slow-seconds 2] [--empty] [--per-second 20] [--certificate C --key K]`
GET /seen says who asked what since the last time, and begins anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

GOOD_FIRST = 20  # requests, so that the look before a load test finds nothing wrong
# Multiples of it fill [0, 1) evenly, from whichever one on: two clients' percentiles of 600 searches each do not differ by chance. Of drawn ones
# the medians differed by more than a tenth once in 270 pairs.
GOLDEN = (5**0.5 - 1) / 2
HIT = {"document_id": "d1", "title": "t", "passage": "p", "score": 1.0, "source": "topics/email.txt"}


class Seen:
    """Since the last GET /seen: what was searched, with which keys and Host headers, how long questions and documents were, and what became of streams."""

    def __init__(self) -> None:
        self.searched: list[str] = []
        self.keys: set[str] = set()
        self.hosts: set[str] = set()
        self.asked: list[int] = []
        self.sent: list[int] = []
        self.streams: Counter[str] = Counter()

    def said(self) -> dict[str, Any]:
        return {"searched": len(self.searched), "different": len(set(self.searched)), "keys": len(self.keys), "hosts": sorted(self.hosts), "asked": self.asked, "sent": self.sent,
                "streams": dict(self.streams)}  # fmt: skip


def create_app(
    refuse: float,
    break_streams: float,
    slow_seconds: float,
    empty: bool,
    spread_seconds: float = 0.0,
    tokens: int = 1,
    per_second: float = 0.0,
) -> Starlette:
    chance, documents, answered, identities, searches = random.Random(3), dict[str, int](), count(), count(), count()
    seen = Seen()
    free_at = 0.0

    async def turn() -> None:
        """Wait for one's turn: a single worker needs 1/per_second s for each request, and also for one whose client has left."""
        nonlocal free_at
        if per_second:
            free_at = max(free_at, time.monotonic()) + 1 / per_second
            await asyncio.sleep(free_at - time.monotonic())

    def refused() -> Response | None:
        if next(answered) >= GOOD_FIRST and chance.random() < refuse:
            return JSONResponse({"code": "rate-limited", "status": 429}, 429)
        return None

    async def search(request: Request) -> Response:
        seen.searched.append((await request.json())["query"])
        seen.keys.add(request.headers.get("authorization", ""))
        seen.hosts.add(request.headers.get("host", ""))
        await turn()
        await asyncio.sleep(slow_seconds + spread_seconds * (next(searches) * GOLDEN % 1.0))
        return refused() or JSONResponse({"hits": [] if empty else [HIT], "mode": "hybrid"})

    async def events(broken: bool) -> AsyncIterator[str]:
        whole = False
        try:
            yield _event("retrieval", {"hits": [HIT]})
            yield ": ping\r\n\r\n"
            for _ in range(tokens):
                await asyncio.sleep(0.01)
                yield _event("token", {"text": "word"})
            if not broken:
                yield _event("done", {"answer": "word"})
            whole = True
        finally:
            seen.streams["whole" if whole else "left"] += 1

    async def ask(request: Request) -> Response:
        seen.asked.append(len((await request.json())["question"]))
        await turn()
        await asyncio.sleep(slow_seconds)
        return refused() or StreamingResponse(events(chance.random() < break_streams), media_type="text/event-stream")

    async def send(request: Request) -> Response:
        seen.sent.append(len((await request.json())["text"]))
        identity = str(next(identities))
        documents[identity] = 0
        return JSONResponse({"id": identity, "status": "queued"}, 202)

    async def document(request: Request) -> Response:
        identity = request.path_params["id"]
        if request.method == "DELETE":
            documents.pop(identity)
            return Response(status_code=204)
        documents[identity] += 1
        return JSONResponse({"id": identity, "status": "indexed" if documents[identity] > 1 else "queued"})

    async def said(_: Request) -> Response:
        nonlocal seen
        found, seen = seen.said(), Seen()
        return JSONResponse(found)

    async def ready(_: Request) -> Response:
        return JSONResponse({"status": "ready", "left": len(documents)})

    return Starlette(routes=[
        Route("/v1/search", search, methods=["POST"]), Route("/v1/ask", ask, methods=["POST"]), Route("/readyz", ready),
        Route("/seen", said),
        Route("/v1/documents", send, methods=["POST"]), Route("/v1/documents/{id}", document, methods=["GET", "DELETE"]),
    ])  # fmt: skip


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--refuse", type=float, default=0.0)
    parser.add_argument("--break-streams", type=float, default=0.0)
    parser.add_argument("--slow-seconds", type=float, default=0.0)
    parser.add_argument("--spread-seconds", type=float, default=0.0)
    parser.add_argument("--tokens", type=int, default=1, help="Of an answer.")
    parser.add_argument("--per-second", type=float, default=0.0, help="Its capacity; 0: as much as the machine can.")
    parser.add_argument("--empty", action="store_true")
    parser.add_argument("--certificate", help="Serve HTTPS with this PEM file and --key.")
    parser.add_argument("--key")
    options = parser.parse_args()
    app = create_app(
        options.refuse,
        options.break_streams,
        options.slow_seconds,
        options.empty,
        options.spread_seconds,
        options.tokens,
        options.per_second,
    )
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning",
                ssl_certfile=options.certificate, ssl_keyfile=options.key)  # fmt: skip
