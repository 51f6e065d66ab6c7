"""One repetition of all measurements on a warm service."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from loadtests.bench import client, straight
from loadtests.bench.processes import Stack, cpu_used

CACHED_QUERIES: Final = 50
IDLE_SECONDS: Final = 1.0
Row = dict[str, float]


class WrongAnswer(Exception):
    """The service gave another answer than the measured one, so the numbers would be wrong."""


@dataclass(frozen=True, slots=True)
class Load:
    """`count` requests: open-loop at `per_second`, or closed-loop by `clients`."""

    count: int
    per_second: float = 0.0
    clients: int = 0


FAST: Final = Load(800, per_second=400)  # far below what one core can answer, so that queueing is not measured
REDIS: Final = Load(400, per_second=200)
SEARCH: Final = Load(90, per_second=30)
ASK: Final = Load(20, per_second=5)
STREAM: Final = Load(100, per_second=100)
ALONE: Final = Load(100, clients=1)
SATURATED: Final = Load(3000, clients=8)  # enough clients that the process is never idle
SATURATED_NEW: Final = Load(200, clients=4)


@dataclass
class Bench:
    """A running app process and how to reach it. `redis`: name and port of a second process, which finds in Redis what this one
    stored; `engine_port`: Elasticsearch's, or None for the embedded engine."""

    stack: Stack
    key: str
    app: str
    port: int
    redis: tuple[str, int] | None
    engine_port: int | None
    fresh: Iterator[str]
    cached: list[str]

    def search(self, query: str, **more: object) -> bytes:
        return self._post("/v1/search", {"query": query, **more})

    def ask(self, question: str, *, stream: bool) -> bytes:
        return self._post("/v1/ask", {"question": question, "stream": stream})

    def _post(self, path: str, body: Mapping[str, object]) -> bytes:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        return client.post_request(path, json.dumps(body).encode(), headers)

    def warm_up(self) -> None:
        """Send thousands of requests of every measured kind."""
        again = [self.search(self.cached[number % CACHED_QUERIES]) for number in range(2000)]
        for per_second in (10, 20, SEARCH.per_second):  # a cold Elasticsearch could not keep up with the last rate
            new = [self.search(query) for query in islice(self.fresh, 100)]
            self._send(self.port, new, Load(100, per_second), strict=False)
        self._send(self.port, again, FAST)
        self._send(self.port, [self.ask(query, stream=True) for query in islice(self.fresh, 10)], ASK)
        if self.redis:
            self._send(self.redis[1], again, REDIS)

    def searches(self) -> dict[str, Row]:
        """Measure an idle request as the floor, and searches answered by each cache tier; returns their numbers by name."""
        cycle = [self.search(self.cached[number % CACHED_QUERIES]) for number in range(SATURATED.count)]
        texts = list(islice(self.fresh, max(SEARCH.count, ALONE.count, SATURATED_NEW.count)))
        rows = {"idle": self._idle()}
        rows["healthz"] = self._measure([client.get_request("/healthz")] * FAST.count, FAST, rows["idle"])
        rows["search, cached in process"] = self._measure(cycle, FAST, rows["idle"], tier="hit-process")
        rows["the same, saturated"] = self._measure(cycle, SATURATED, rows["idle"], tier="hit-process")
        if self.redis:
            rows["search, cached in Redis"] = self._measure(cycle, REDIS, rows["idle"], tier="hit-redis", by=self.redis)
            saturated = self._measure(cycle[: SATURATED.count // 2], SATURATED, rows["idle"], tier="hit-redis", by=self.redis)
            rows["the same in Redis, saturated"] = saturated
        new = [self.search(text) for text in texts]
        rows["search, uncached, alone"] = self._measure(new[: ALONE.count], ALONE, rows["idle"], tier="miss")
        known = [self.search(text, top_k=11) for text in texts]  # a new request whose text's vector is already cached
        rows["vector known, alone"] = self._measure(known[: ALONE.count], ALONE, rows["idle"], tier="miss")
        rest = [self.search(text) for text in texts[ALONE.count :]]
        self._send(self.port, rest, Load(len(rest), clients=1))  # caches their vectors too
        known = [self.search(text, top_k=12) for text in texts]
        rows["vector known, open loop"] = self._measure(known[: SEARCH.count], SEARCH, rows["idle"], tier="miss")
        known = [self.search(text, top_k=13) for text in texts]
        rows["vector known, saturated"] = self._measure(known, SATURATED_NEW, rows["idle"], tier="miss")
        rows["engine alone"] = self._engine(texts[: ALONE.count])
        return rows

    def asks(self, idle: Row) -> dict[str, Row]:
        """Measure questions, new and cached."""
        questions = list(islice(self.fresh, ASK.count))
        asked = [self.ask(question, stream=True) for question in questions]
        whole = [self.ask(questions[number % ASK.count], stream=False) for number in range(REDIS.count)]
        return {
            "ask, uncached, streamed": self._measure(asked, ASK, idle),
            "ask, cached, streamed": self._measure([asked[n % ASK.count] for n in range(STREAM.count)], STREAM, idle),
            "ask, cached": self._measure(whole, REDIS, idle, tier="hit-process"),
        }

    def _idle(self) -> Row:
        pid = self.stack.running[self.app].pid
        before = cpu_used(pid)
        time.sleep(IDLE_SECONDS)
        used = cpu_used(pid) - before
        return {"loop_cpu_ms_per_s": used.loop / IDLE_SECONDS * 1000, "others_cpu_ms_per_s": used.others / IDLE_SECONDS * 1000}

    def _measure(
        self, requests: Sequence[bytes], load: Load, idle: Row, *, tier: str | None = None, by: tuple[str, int] | None = None
    ) -> Row:
        name, port = by or (self.app, self.port)
        requests = requests[: load.count]
        pid, count = self.stack.running[name].pid, len(requests)
        before = cpu_used(pid)
        sample = self._send(port, requests, load)
        used = cpu_used(pid) - before
        if tier is not None and sample.tiers.get(tier, 0) < 0.99 * count:
            raise WrongAnswer(f"{count} answers should come as {tier}, and came as {sample.tiers}")
        loop_ms = used.loop * 1000 - idle["loop_cpu_ms_per_s"] * sample.seconds
        others_ms = used.others * 1000 - idle["others_cpu_ms_per_s"] * sample.seconds
        return {
            "loop_cpu_ms": max(0.0, loop_ms) / count,
            "others_cpu_ms": max(0.0, others_ms) / count,
            "requests_per_cpu_s": 1000 * count / (loop_ms + max(0.0, others_ms)),
            **_latency(sample.done_ms),
            "first_p50_ms": statistics.median(sample.first_ms),
        }

    def _engine(self, texts: list[str]) -> Row:
        if self.engine_port is None:
            found = straight.search_embedded(self.stack.env(), texts)
            return {"others_cpu_ms": 1000 * found["cpu_seconds"] / len(texts), **_latency(found["done_ms"])}
        bodies = straight.elasticsearch_bodies(self.stack.env(), texts)
        headers = {"Content-Type": "application/x-ndjson"}
        posts = [client.post_request("/_msearch", body, headers) for body in bodies]
        return _latency(self._send(self.engine_port, posts, ALONE).done_ms)

    def _send(self, port: int, requests: Sequence[bytes], load: Load, *, strict: bool = True) -> client.ResponseTimes:
        if load.clients:
            sample = asyncio.run(client.run_closed_loop(port, requests, clients=load.clients))
        else:
            sample = asyncio.run(client.run_open_loop(port, requests, per_second=load.per_second))
        if strict and set(sample.statuses) != {200}:
            raise WrongAnswer(f"statuses {sample.statuses}; the last body: {sample.last_body[:500]!r}")
        return sample


def _latency(done_ms: list[float]) -> Row:
    ordered = sorted(done_ms)
    return {
        "p50_ms": statistics.median(ordered),
        "p95_ms": ordered[int(0.95 * len(ordered))],
        "p99_ms": ordered[int(0.99 * len(ordered))],
    }
