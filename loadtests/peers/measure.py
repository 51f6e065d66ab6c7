"""One repetition: in every scenario the contenders are measured one after the other,
so that disturbances of the machine affect all."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import psutil

from loadtests.bench import client
from loadtests.bench.processes import cpu_used
from loadtests.peers.contenders import SEARCH_TOP_K, TEAL, Contender
from loadtests.peers.ratios import overlap
from loadtests.peers.streamed import read_streamed_answer

KNOWN: Final = "uncached search, vector known"
ALONE: Final = "the same, one client"
MADE: Final = "uncached search, vector made, one client"
AGAIN: Final = "asked again"
STREAMED: Final = "streamed answer"
IDLE_SECONDS: Final = 1.0
CLIENTS: Final = 4
SEARCHES: Final = 80
SINGLE: Final = 30
REPEATED: Final = 10  # queries that are asked again
AGAIN_COUNTS: Final = {TEAL: 1500}  # with fewer its answers would take too little CPU for the clock
AGAIN_COUNT: Final = 60
QUESTIONS: Final = 6

Rows = dict[str, dict[str, dict[str, float]]]


class WrongAnswer(Exception):
    """A contender gave another answer than the measured one."""


@dataclass(frozen=True, slots=True)
class RunningContender:
    """A contender whose process is up."""

    contender: Contender
    pid: int
    port: int

    def spent_seconds(self) -> float:
        """CPU seconds used so far by the process with all threads and children."""
        children = psutil.Process(self.pid).children(recursive=True)
        used = [cpu_used(pid) for pid in (self.pid, *(child.pid for child in children))]
        return sum(one.loop + one.others for one in used)

    def send(self, queries: Sequence[str], top_k: int, clients: int) -> client.ResponseTimes:
        """Raises `WrongAnswer` unless every answer is 200."""
        requests = [self.contender.search(query, top_k) for query in queries]
        sample = asyncio.run(client.run_closed_loop(self.port, requests, clients=clients))
        if set(sample.statuses) != {200}:
            raise WrongAnswer(f"{self.contender.name} answered {sample.statuses}: {sample.last_body[:500]!r}")
        return sample


def repetition(all_of_them: Sequence[RunningContender], queries: Iterator[str], questions: Sequence[str], number: int) -> Rows:
    """{scenario: {contender: {measure: value}}}: `cpu_ms` a request, `p50_ms`; of streams `first_ms` and `words_ms` (medians)."""
    idle = _idle(all_of_them)
    texts, rows = list(islice(queries, SEARCHES)), Rows()

    def each(scenario: str, run: Callable[[RunningContender], dict[str, float]]) -> None:
        at = number % len(all_of_them)  # so that none is always the first
        rows[scenario] = {one.contender.name: run(one) for one in (*all_of_them[at:], *all_of_them[:at])}

    def searched(one: RunningContender, asked: Sequence[str], top_k: int, clients: int, tier: str) -> dict[str, float]:
        before = one.spent_seconds()
        sample = one.send(asked, top_k, clients)
        used_ms = (one.spent_seconds() - before - idle[one.pid] * sample.seconds) * 1000
        if one.contender.name == TEAL and sample.tiers.get(tier, 0) < 0.99 * len(asked):
            raise WrongAnswer(f"Teal's answers should come as {tier}, and came as {sample.tiers}")
        return {"cpu_ms": used_ms / len(asked), "p50_ms": statistics.median(sample.done_ms)}

    each(MADE, lambda one: searched(one, texts[:SINGLE], SEARCH_TOP_K, 1, "miss"))
    for one in all_of_them:
        one.send(texts[SINGLE:], SEARCH_TOP_K, CLIENTS)  # caches the vectors of the rest
    # One passage more, so that Teal uses its cache of vectors but not that of answers.
    each(ALONE, lambda one: searched(one, texts[:SINGLE], SEARCH_TOP_K + 1, 1, "miss"))
    each(KNOWN, lambda one: searched(one, texts, SEARCH_TOP_K + 2, CLIENTS, "miss"))
    for one in all_of_them:
        one.send(texts[:REPEATED], SEARCH_TOP_K + 2, 1)
    each(AGAIN, lambda one: searched(one, _again(one, texts), SEARCH_TOP_K + 2, CLIENTS, "hit-process"))
    each(STREAMED, lambda one: _streamed(one, questions, idle))
    return rows


def _again(one: RunningContender, texts: Sequence[str]) -> list[str]:
    return [texts[number % REPEATED] for number in range(AGAIN_COUNTS.get(one.contender.name, AGAIN_COUNT))]


def _idle(all_of_them: Sequence[RunningContender]) -> dict[int, float]:
    """CPU seconds a second that each uses while idle."""
    before = {one.pid: one.spent_seconds() for one in all_of_them}
    time.sleep(IDLE_SECONDS)
    return {one.pid: (one.spent_seconds() - before[one.pid]) / IDLE_SECONDS for one in all_of_them}


def _streamed(one: RunningContender, questions: Sequence[str], idle: dict[int, float]) -> dict[str, float]:
    ask = one.contender.ask
    one.send(questions, SEARCH_TOP_K, 1)  # so that all have their vectors cached
    before, began = one.spent_seconds(), time.perf_counter()
    sources, words, events = one.contender.sources, one.contender.words, one.contender.events
    heard = [asyncio.run(read_streamed_answer(one.port, ask(text), sources, words, events)) for text in questions]
    used = one.spent_seconds() - before - idle[one.pid] * (time.perf_counter() - began)
    return {
        "cpu_ms": used * 1000 / len(questions),
        "first_ms": statistics.median(one.first_ms for one in heard),
        "words_ms": statistics.median(one.words_ms for one in heard),
    }


def overlaps(all_of_them: Sequence[RunningContender], queries: Sequence[str]) -> dict[str, float]:
    """Share of Teal's ten ids that each peer returns, over the queries."""
    found = {one.contender.name: [one.contender.ids(_body(one, query)) for query in queries] for one in all_of_them}
    return {name: overlap(found[TEAL], ids) for name, ids in found.items() if name != TEAL}


def _body(one: RunningContender, query: str) -> bytes:
    return one.send([query], SEARCH_TOP_K, 1).last_body
