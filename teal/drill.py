"""Users, as many per second as wanted, who know only the public API: what they were answered while something else happened.

The loop is open: a request is sent when its moment has come, whether earlier ones were answered or not, so a service that stalls
is met by as many requests as before.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

REQUEST_SECONDS = 30.0  # a user waits no longer; a streamed answer has as long between two events
CONNECTIONS = 64  # kept alive by each client
KEPT_FAILURES = 20
QUESTIONS = (
    "How do I cache the output of a single view?",
    "How do I retrieve only some objects with filters?",
    "How can I send an email with an attachment?",
    "How does a password get stored?",
    "How do I write a custom management command?",
)


@dataclass
class Met:
    """What users met. `accepted`: word of each accepted document by its id. `failures`: the first ones, in words."""

    sent: int = 0
    answered: int = 0
    streams: int = 0
    failed: int = 0
    broken_streams: int = 0
    accepted: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the answers came."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Users(threading.Thread):
    """Sends `per_second` requests (search, streamed ask, documents) to `url` until `stop` is called or `limit` are sent.

    One client keeps HTTP/1.1 connections alive, another speaks HTTP/2 where the `h2` package is there; each takes half.
    """

    def __init__(self, url: str, keys: tuple[str, ...], ca: Path | None, *, per_second: float, limit: int | None = None,
                 http2: bool = True, documents: bool = True) -> None:  # fmt: skip
        super().__init__(name="users", daemon=True)
        self.met = Met()
        self._url, self._keys, self._ca = url, keys, ca
        self._per_second, self._limit, self._http2, self._documents = per_second, limit, http2, documents
        self._stopped = threading.Event()

    def stop(self) -> Met:
        """No more requests; returns when the last one is answered."""
        self._stopped.set()
        self.join(2 * REQUEST_SECONDS)
        return self.met

    def run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        verify = ssl.create_default_context(cafile=str(self._ca) if self._ca else None)
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        timeout = httpx.Timeout(REQUEST_SECONDS)
        clients = [
            httpx.AsyncClient(base_url=self._url, verify=verify, http2=http2, limits=limits, timeout=timeout, trust_env=False)
            for http2 in ((False, True) if self._http2 else (False,))
        ]
        began = time.monotonic()
        pending: set[asyncio.Task[None]] = set()
        while not self._stopped.is_set() and (self._limit is None or self.met.sent < self._limit):
            await asyncio.sleep(max(0.0, began + self.met.sent / self._per_second - time.monotonic()))
            task = asyncio.create_task(self._one(clients[self.met.sent % len(clients)], self.met.sent))
            pending.add(task)
            task.add_done_callback(pending.discard)
            self.met.sent += 1
        while pending:
            await asyncio.wait(set(pending))
        for client in clients:
            await client.aclose()

    async def _one(self, http: httpx.AsyncClient, number: int) -> None:
        headers = {"Authorization": f"Bearer {self._keys[number % len(self._keys)]}"}
        question = f"{QUESTIONS[number % len(QUESTIONS)]} {number}"  # a number of its own, so that few answers come from a cache
        kind = number % 33
        started = time.perf_counter()
        try:
            if kind == 0 and self._documents:
                await self._send(http, headers, number)
            elif kind in (3, 8, 14, 19, 25):
                await self._ask(http, headers, question)
            else:
                answer = await http.post("/v1/search", json={"query": question}, headers=headers)
                self._judge(
                    answer.status_code == 200 and "hits" in answer.json(), f"search: {answer.status_code} {answer.text[:200]}"
                )
        except (httpx.HTTPError, ValueError) as error:
            self._judge(False, f"{type(error).__name__}: {error}")
        self.met.seconds.append(time.perf_counter() - started)

    async def _ask(self, http: httpx.AsyncClient, headers: dict[str, str], question: str) -> None:
        """An answer is whole when its last event is `done`."""
        self.met.streams += 1
        last, status = "", 0
        try:
            async with http.stream("POST", "/v1/ask", json={"question": question, "stream": True}, headers=headers) as answer:
                status = answer.status_code
                async for line in answer.aiter_lines():
                    if line.startswith("event:"):
                        last = line.removeprefix("event:").strip()
        except httpx.HTTPError as error:
            last = f"{last} {type(error).__name__}"
        if status == 200 and last != "done":
            self.met.broken_streams += 1
        self._judge(status == 200 and last == "done", f"ask: {status}, last event {last or 'none'}")

    async def _send(self, http: httpx.AsyncClient, headers: dict[str, str], number: int) -> None:
        word = f"zq{number:06d}x"
        body = {"title": f"Drill {number}", "text": f"The word of this document is {word}. It was sent while a release went on."}
        answer = await http.post("/v1/documents", json=body, headers=headers)
        self._judge(answer.status_code == 202, f"document: {answer.status_code} {answer.text[:200]}")
        if answer.status_code == 202:
            self.met.accepted[answer.json()["id"]] = word

    def _judge(self, good: bool, said: str) -> None:
        if good:
            self.met.answered += 1
            return
        self.met.failed += 1
        if len(self.met.failures) < KEPT_FAILURES:
            self.met.failures.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {said}")


def missing(url: str, key: str, ca: Path | None, accepted: dict[str, str], *, seconds: float) -> dict[str, str]:
    """Accepted documents that a search for their own word does not find within `seconds`: id -> word. Polls."""
    verify = ssl.create_default_context(cafile=str(ca) if ca else None)
    left, deadline = dict(accepted), time.monotonic() + seconds
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, verify=verify, timeout=REQUEST_SECONDS, headers=headers, trust_env=False) as http:
        while left and time.monotonic() < deadline:
            for document, word in list(left.items()):
                answer = http.post("/v1/search", json={"query": word, "mode": "lexical"})
                if answer.status_code == 200 and document in {hit["document_id"] for hit in answer.json()["hits"]}:
                    del left[document]
            if left:
                time.sleep(0.5)
    return left


def said(met: Met) -> str:
    """The numbers as one JSON line."""
    return json.dumps(
        {
            "sent": met.sent,
            "answered": met.answered,
            "failed": met.failed,
            "streams": met.streams,
            "broken_streams": met.broken_streams,
            "documents": len(met.accepted),
            "p50_seconds": round(met.percentile(0.5), 4),
            "p99_seconds": round(met.percentile(0.99), 4),
            "failures": met.failures,
        }
    )
