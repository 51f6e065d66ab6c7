"""One repetition of everything that is measured of a warm service."""

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
from loadtests.bench.processes import Stack, cpu

CACHED_QUERIES: Final = 50
IDLE_SECONDS: Final = 1.0
Row = dict[str, float]


class WrongAnswer(Exception):
    """The service answered something else than what is measured, so the numbers would be of something else."""


@dataclass(frozen=True, slots=True)
class Load:
    """`count` requests at `per_second`."""

    count: int
    per_second: float


FAST: Final = Load(1200, 400)  # far below what one core can answer: queues would measure themselves
REDIS: Final = Load(600, 300)
SEARCH: Final = Load(150, 30)
ASK: Final = Load(20, 5)
STREAM: Final = Load(200, 100)


@dataclass
class Bench:
    """The running service and how to reach it. `engine_port`: Elasticsearch's, or None for the embedded engine."""

    stack: Stack
    key: str
    port: int
    redis_port: int | None
    engine_port: int | None
    fresh: Iterator[str]
    cached: list[str]

    def search(self, query: str, **more: object) -> bytes:
        return self._post("/v1/search", {"query": query, **more})

    def ask(self, question: str, *, stream: bool) -> bytes:
        return self._post("/v1/ask", {"question": question, "stream": stream})

    def _post(self, path: str, body: Mapping[str, object]) -> bytes:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        return client.post(path, json.dumps(body).encode(), headers)

    def warm_up(self) -> None:
        """Thousands of requests, of every kind that is measured."""
        again = [self.search(self.cached[number % CACHED_QUERIES]) for number in range(2000)]
        for per_second in (10, 20, SEARCH.per_second):  # a cold Elasticsearch would not keep up with the last
            new = [self.search(query) for query in islice(self.fresh, 100)]
            self._send(self.port, new, per_second, strict=False)
        self._send(self.port, again, FAST.per_second)
        self._send(self.port, [self.ask(query, stream=True) for query in islice(self.fresh, 10)], 5)
        if self.redis_port:
            self._send(self.redis_port, again, REDIS.per_second)
            self._send(self.redis_port, [self.search(query) for query in islice(self.fresh, 20)], 20)

    def repetition(self) -> dict[str, Row]:
        """Every scenario once; its numbers by name."""
        cycle = [self.search(self.cached[number % CACHED_QUERIES]) for number in range(FAST.count)]
        texts = list(islice(self.fresh, SEARCH.count))
        questions = list(islice(self.fresh, ASK.count))
        rows = {"idle": self._idle()}
        rows["healthz"] = self._measure("app", self.port, [client.get("/healthz")] * FAST.count, FAST, rows["idle"])
        rows["search, cached in process"] = self._measure("app", self.port, cycle, FAST, rows["idle"], tier="hit-process")
        if self.redis_port:
            rows["search, cached in Redis"] = self._measure(
                "app-redis", self.redis_port, cycle[: REDIS.count], REDIS, rows["idle"], tier="hit-redis"
            )
        new = [self.search(text) for text in texts]
        rows["search, uncached"] = self._measure("app", self.port, new, SEARCH, rows["idle"], tier="miss")
        known = [self.search(text, top_k=11) for text in texts]  # another request, but the text's vector is known by now
        rows["search, uncached, vector known"] = self._measure("app", self.port, known, SEARCH, rows["idle"], tier="miss")
        rows["engine alone"] = self._engine(texts)
        asked = [self.ask(question, stream=True) for question in questions]
        rows["ask, uncached, streamed"] = self._measure("app", self.port, asked, ASK, rows["idle"])
        many = [asked[number % ASK.count] for number in range(STREAM.count)]
        rows["ask, cached, streamed"] = self._measure("app", self.port, many, STREAM, rows["idle"])
        whole = [self.ask(questions[number % ASK.count], stream=False) for number in range(REDIS.count)]
        rows["ask, cached"] = self._measure("app", self.port, whole, REDIS, rows["idle"], tier="hit-process")
        return rows

    def _idle(self) -> Row:
        pid = self.stack.running["app"].pid
        before = cpu(pid)
        time.sleep(IDLE_SECONDS)
        used = cpu(pid) - before
        return {"loop_cpu_ms_per_s": used.loop / IDLE_SECONDS * 1000, "others_cpu_ms_per_s": used.others / IDLE_SECONDS * 1000}

    def _measure(
        self, process: str, port: int, requests: Sequence[bytes], load: Load, idle: Row, *, tier: str | None = None
    ) -> Row:
        pid = self.stack.running[process].pid
        before = cpu(pid)
        sample = self._send(port, requests, load.per_second)
        used = cpu(pid) - before
        if tier is not None and sample.tiers.get(tier, 0) < 0.99 * load.count:
            raise WrongAnswer(f"{load.count} answers should come as {tier}, and came as {sample.tiers}")
        loop_ms = used.loop * 1000 - idle["loop_cpu_ms_per_s"] * sample.seconds
        others_ms = used.others * 1000 - idle["others_cpu_ms_per_s"] * sample.seconds
        return {
            "loop_cpu_ms": max(0.0, loop_ms) / load.count,
            "others_cpu_ms": max(0.0, others_ms) / load.count,
            "requests_per_cpu_s": 1000 * load.count / (loop_ms + max(0.0, others_ms)),
            **_latency(sample.done_ms),
            "first_p50_ms": statistics.median(sample.first_ms),
        }

    def _engine(self, texts: list[str]) -> Row:
        if self.engine_port is None:
            found = straight.embedded(self.stack.env(), texts)
            return {"others_cpu_ms": 1000 * found["cpu_seconds"] / len(texts), **_latency(found["done_ms"])}
        bodies = straight.elasticsearch_bodies(self.stack.env(), texts)
        headers = {"Content-Type": "application/x-ndjson"}
        return _latency(
            self._send(self.engine_port, [client.post("/_msearch", body, headers) for body in bodies], SEARCH.per_second).done_ms
        )

    def _send(self, port: int, requests: Sequence[bytes], per_second: float, *, strict: bool = True) -> client.Sample:
        sample = asyncio.run(client.run(port, requests, per_second=per_second))
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
