"""The `Metrics` port by scraping each process of a color; the load balancer's log adds the requests that reached no process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from teal.errors import OperatorError
from teal.metrics.counters import SLOW_SECONDS, people_only
from teal.metrics.gates import ERRORS, GATES, REQUESTS, Counter, Gate, counters
from teal.ports.metrics import Counts
from teal.record.model import COLORS, Color

SCRAPE_SECONDS = 3.0


class NobodyAnswers(OperatorError):
    """No process of the color could be asked."""

    code = "no-metrics"


class ScrapeMetrics:
    """`urls`: where each process of a color serves /metrics. `access_log`: the load balancer's, whose own 502 and 503 count as errors.
    `headers`: sent with each request, such as the token of /metrics. `slow_seconds`: a request is slow when it is above the next
    bucket of teal_http_request_seconds at or above this."""

    def __init__(
        self,
        urls: Callable[[Color], Sequence[str]],
        access_log: Path | None = None,
        *,
        slow_seconds: float = SLOW_SECONDS,
        gates: Sequence[Gate] = GATES,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._urls = urls
        self._headers = dict(headers or {})
        self._slow_seconds = slow_seconds
        self._counters = counters(gates)
        self._front = FrontErrors(access_log) if access_log else None

    def read(self, color: Color) -> Counts:
        urls = self._urls(color)
        with ThreadPoolExecutor(max(1, len(urls))) as pool:
            texts = [text for text in pool.map(partial(fetch_page, headers=self._headers), urls) if text is not None]
        if not texts:
            raise NobodyAnswers(f"No process of {color} says what it counted", where=", ".join(urls) or color, next="teal status")
        found = summed([counts_on_page(text, self._counters, slow_seconds=self._slow_seconds) for text in texts])
        unserved = self._front.read()[color] if self._front else 0
        for counter in (REQUESTS, ERRORS):
            found[counter.name] = found.get(counter.name, 0) + unserved
        return Counts(found)


def fetch_page(url: str, headers: Mapping[str, str]) -> str | None:
    """The text of a process's /metrics page; None without a successful response."""
    try:
        answer = httpx.get(url, timeout=SCRAPE_SECONDS, trust_env=False, headers=headers)
    except httpx.HTTPError:
        return None
    return answer.text if answer.status_code == 200 else None


def counts_on_page(text: str, wanted: Iterable[Counter], *, slow_seconds: float = SLOW_SECONDS) -> dict[str, int]:
    """The values of one process's page by counter name; counters that the process does not have are left out."""
    found = people_only(text_string_to_metric_families(text))
    numbers = {counter.name: counter.read.of(found, slow_seconds) for counter in wanted}
    return {name: int(number) for name, number in numbers.items() if number is not None}


def summed(processes: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum over the processes, for every counter that any of them has."""
    found: dict[str, int] = {}
    for one in processes:
        for name, number in one.items():
            found[name] = found.get(name, 0) + number
    return found


class FrontErrors:
    """Counts, from the load balancer's growing log,
    the error responses that it sent itself because no process of the color answered."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._inode = 0
        self._at = 0
        self._counts: dict[Color, int] = dict.fromkeys(COLORS, 0)

    def read(self) -> Mapping[Color, int]:
        """The counts since this object was made.
        Reads only what was written since the last call; a rotated log is read from its new beginning."""
        try:
            with self._log.open("rb") as file:
                inode = self._log.stat().st_ino
                if self._inode == 0:
                    file.seek(0, 2)
                    self._at = file.tell()
                elif inode != self._inode:
                    self._at = 0
                self._inode = inode
                file.seek(self._at)
                whole, newline, _ = file.read().rpartition(b"\n")
                self._at += len(whole) + len(newline)
        except FileNotFoundError:
            return dict(self._counts)
        for line in whole.split(b"\n"):
            if b'"request_id"' in line:  # only its own error pages have one
                self._count(line)
        return dict(self._counts)

    def _count(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            if int(entry["status"]) in (502, 503, 504):
                for color in COLORS:
                    self._counts[color] += entry.get("color") == color
        except (ValueError, KeyError, TypeError):
            return
