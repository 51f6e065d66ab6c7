"""Simulated users of the public API at a given rate. They record each answer while a drill causes its fault.

The load is open-loop: each request is sent at its scheduled time, whether earlier ones were answered or not,
so a stalled service receives as many requests as before.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx

REQUEST_SECONDS = 30.0  # a user waits no longer; a streamed answer has as long between two events
IN_FLIGHT = 64  # of each client, as many connections with HTTP/1.1; httpx slows down with every request that it holds back itself
KEPT_FAILURES = 20
QUESTIONS = (
    "How do I cache the output of a single view?",
    "How do I retrieve only some objects with filters?",
    "How can I send an email with an attachment?",
    "How does a password get stored?",
    "How do I write a custom management command?",
)
DRAIN_POLL_SECONDS = 0.05
Kind = Literal["search", "ask", "document"]


@dataclass(frozen=True, slots=True)
class UserRequest:
    """One request. `at`: Unix seconds at which it was due; `seconds`: from then until its answer was whole or given up.

    `document`: the id of an accepted document. `why`: the reason of a failure, as text. `late`: seconds between `at` and the moment
    when this process got a processor to send it; this is not the service's time.
    """

    at: float
    seconds: float
    kind: Kind
    good: bool
    document: str = ""
    late: float = 0.0
    why: str = ""

    @property
    def ended(self) -> float:
        """Unix seconds."""
        return self.at + self.seconds


@dataclass
class UserResults:
    """All requests with their results. `accepted`: the word of each accepted document, by its id.
    `failures`: the first failures as text."""

    sent: int = 0
    answered: int = 0
    streams: int = 0
    failed: int = 0
    broken_streams: int = 0
    accepted: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    requests: list[UserRequest] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the answers came."""
        return percentile((request.seconds for request in self.requests), share)


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of the values does not exceed; 0.0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class SimulatedUsers(threading.Thread):
    """Sends `per_second` requests (search, streamed ask, documents) to `url` until `stop` is called or `limit` are sent.

    One client keeps HTTP/1.1 connections alive, another speaks HTTP/2; each takes half. Without `keep_alive` each request opens a
    connection of its own. With `expect_hits` a search that finds nothing has failed. Documents go to `collection`.
    """

    def __init__(self, url: str, keys: tuple[str, ...], ca: Path | None, *, per_second: float, limit: int | None = None,
                 documents: bool = True, keep_alive: bool = True, expect_hits: bool = False, collection: str | None = None) -> None:  # fmt: skip
        super().__init__(name="users", daemon=True)
        self.met = UserResults()
        self._url, self._keys, self._ca = url, keys, ca
        self._per_second, self._limit, self._documents = per_second, limit, documents
        self._keep_alive, self._expect_hits, self._collection = keep_alive, expect_hits, collection
        self._run = secrets.token_hex(3)
        self._underway: Counter[str] = Counter()  # requests in flight by key
        self._stopped = threading.Event()

    def stop(self) -> UserResults:
        """Send no more requests; returns when the last one is answered."""
        self._stopped.set()
        self.join(2 * REQUEST_SECONDS)
        return self.met

    def use(self, keys: tuple[str, ...]) -> None:
        """Use other keys from now on; returns when the last request with an earlier key is answered."""
        earlier, self._keys = set(self._keys) - set(keys), keys
        deadline = time.monotonic() + REQUEST_SECONDS
        while any(self._underway[key] for key in earlier) and time.monotonic() < deadline:
            time.sleep(DRAIN_POLL_SECONDS)

    def run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        verify = ssl.create_default_context(cafile=str(self._ca) if self._ca else None)
        limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT if self._keep_alive else 0)
        timeout = httpx.Timeout(REQUEST_SECONDS)
        clients = [
            httpx.AsyncClient(base_url=self._url, verify=verify, http2=http2, limits=limits, timeout=timeout, trust_env=False)
            for http2 in (False, True)
        ]
        free = [asyncio.Semaphore(IN_FLIGHT) for _ in clients]
        began, began_at = time.monotonic(), time.time()
        pending: set[asyncio.Task[None]] = set()
        while not self._stopped.is_set() and (self._limit is None or self.met.sent < self._limit):
            due = self.met.sent / self._per_second
            await asyncio.sleep(max(0.0, began + due - time.monotonic()))
            which = self.met.sent % len(clients)
            task = asyncio.create_task(self._one(clients[which], free[which], self.met.sent, began_at + due))
            pending.add(task)
            task.add_done_callback(pending.discard)
            self.met.sent += 1
        while pending:
            await asyncio.wait(set(pending))
        for client in clients:
            await client.aclose()

    async def _one(self, http: httpx.AsyncClient, free: asyncio.Semaphore, number: int, at: float) -> None:
        keys = self._keys
        key = keys[number % len(keys)]
        place = number % 33
        kind: Kind = "document" if place == 0 and self._documents else "ask" if place in (3, 8, 14, 19, 25) else "search"
        document, why = "", f"{IN_FLIGHT} others were in flight for {REQUEST_SECONDS:.0f} s"
        late = max(0.0, time.time() - at)
        self._underway[key] += 1
        try:
            await asyncio.wait_for(free.acquire(), REQUEST_SECONDS)
        except TimeoutError:
            pass
        else:
            try:
                document, why = await self._answer(http, {"Authorization": f"Bearer {key}"}, kind, number)
            finally:
                free.release()
        finally:
            self._underway[key] -= 1
        self.met.requests.append(UserRequest(at, time.time() - at, kind, not why, document, late, why[:200]))
        if why:
            self.met.failed += 1
            if len(self.met.failures) < KEPT_FAILURES:
                self.met.failures.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {kind}: {why}")
        else:
            self.met.answered += 1

    async def _answer(self, http: httpx.AsyncClient, headers: dict[str, str], kind: Kind, number: int) -> tuple[str, str]:
        """Send one request; returns the id of the document that it sent, and why it failed or an empty text."""
        question = f"{QUESTIONS[number % len(QUESTIONS)]} {number}"  # numbered, so that few answers come from a cache
        try:
            match kind:
                case "document":
                    return await self._send(http, headers, number)
                case "ask":
                    return "", await self._ask(http, headers, question)
                case "search":
                    return "", await self._search(http, headers, question)
        except (httpx.HTTPError, ValueError) as error:
            return "", _named(error)

    async def _search(self, http: httpx.AsyncClient, headers: dict[str, str], question: str) -> str:
        """Search once; returns why the answer is wrong, or an empty text."""
        answer = await http.post("/v1/search", json={"query": question}, headers=headers)
        if answer.status_code == 200 and isinstance(hits := answer.json().get("hits"), list):
            return "" if hits or not self._expect_hits else "it found nothing"
        return f"{answer.status_code} {answer.text[:200]}"

    async def _ask(self, http: httpx.AsyncClient, headers: dict[str, str], question: str) -> str:
        """Ask once with streaming; returns why the answer is wrong, or an empty text.
        A complete stream ends with the event `done`."""
        self.met.streams += 1
        last, status = "", 0
        try:
            async with http.stream("POST", "/v1/ask", json={"question": question, "stream": True}, headers=headers) as answer:
                status = answer.status_code
                async for line in answer.aiter_lines():
                    if line.startswith("event:"):
                        last = line.removeprefix("event:").strip()
        except httpx.HTTPError as error:
            last = f"{last} {_named(error)}".strip()
        if status == 200 and last == "done":
            return ""
        self.met.broken_streams += status == 200
        return f"{status}, last event {last or 'none'}"

    async def _send(self, http: httpx.AsyncClient, headers: dict[str, str], number: int) -> tuple[str, str]:
        """Send a document; returns its id and an empty text, or an empty id and the reason of the refusal."""
        word = f"zq{self._run}{number:06d}x"  # a unique word: two equal texts would be one document
        body = {"title": f"Drill {number}", "text": f"The word of this document is {word}. It was sent during a drill."}
        answer = await http.post(
            "/v1/documents", json=body | ({"collection": self._collection} if self._collection else {}), headers=headers
        )
        if answer.status_code != 202:
            return "", f"{answer.status_code} {answer.text[:200]}"
        document = str(answer.json()["id"])
        self.met.accepted[document] = word
        return document, ""


def _named(error: BaseException) -> str:
    """The error and the innermost one that caused it: httpx says "All connection attempts failed", the socket says why."""
    cause = error
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
    root = "" if cause is error else f" ({type(cause).__name__}: {cause})"
    return f"{type(error).__name__}: {error}{root}"


def as_json_line(met: UserResults) -> str:
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
            "p99_sent_late_seconds": round(percentile((request.late for request in met.requests), 0.99), 4),
            "failures": met.failures,
        }
    )
