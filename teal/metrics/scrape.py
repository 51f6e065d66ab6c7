"""Counts asked of each process of a color, and of the load balancer for the requests that reached no process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from teal.errors import OperatorError
from teal.metrics.port import Counts
from teal.record import COLORS, Color

SCRAPE_SECONDS = 3.0
SLOW_SECONDS = 1.0  # the service's promise for a search or an answer without a model
MACHINES = frozenset({"/healthz", "/readyz", "/metrics"})  # asked by them, not by users
UNMATCHED = "unmatched"  # addresses that are none; but a failure before the routes is met by users
BUCKETS_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # as in app/telemetry.py
UNSEEN = MACHINES | {UNMATCHED}
REQUESTS, LATENCY = "teal_http_requests", "teal_http_request_seconds"
PLAIN = {"searches": "teal_retrievals", "empty": "teal_retrieval_empty", "model_calls": "teal_model_calls",
         "rate_limited": "teal_model_rate_limited", "streams": "teal_streams", "broken_streams": "teal_streams_broken"}  # fmt: skip


class NobodyAnswers(OperatorError):
    """No process of the color could be asked."""

    code = "no-metrics"


class ScrapeMetrics:
    """`urls`: where each process of a color serves /metrics. `access_log`: the load balancer's, whose own 502 and 503 count as errors.
    `slow_seconds`: the next bucket of teal_http_request_seconds at or above it counts."""

    def __init__(
        self, urls: Callable[[Color], Sequence[str]], access_log: Path | None = None, *, slow_seconds: float = SLOW_SECONDS
    ) -> None:
        self._urls = urls
        self._slow_seconds = slow_seconds
        self._front = FrontErrors(access_log) if access_log else None

    def read(self, color: Color) -> Counts:
        urls = self._urls(color)
        with ThreadPoolExecutor(max(1, len(urls))) as pool:
            texts = [text for text in pool.map(_fetch, urls) if text is not None]
        if not texts:
            raise NobodyAnswers(f"No process of {color} says what it counted", where=", ".join(urls) or color, next="teal status")
        unserved = self._front.read()[color] if self._front else 0
        found = [counts(text_string_to_metric_families(text), slow_seconds=self._slow_seconds) for text in texts]
        return Counts(
            requests=sum(each.requests for each in found) + unserved,
            errors=sum(each.errors for each in found) + unserved,
            slow=sum(each.slow for each in found),
            searches=sum(each.searches for each in found),
            empty=sum(each.empty for each in found),
            model_calls=sum(each.model_calls for each in found),
            rate_limited=sum(each.rate_limited for each in found),
            streams=sum(each.streams for each in found),
            broken_streams=sum(each.broken_streams for each in found),
        )


def counts(families: Iterable[Metric], *, slow_seconds: float = SLOW_SECONDS) -> Counts:
    """One process's page as counts."""
    requests = errors = within = timed = 0.0
    bound = min((edge for edge in BUCKETS_SECONDS if edge >= slow_seconds), default=BUCKETS_SECONDS[-1])
    plain = dict.fromkeys(PLAIN, 0.0)
    fields = {metric: field for field, metric in PLAIN.items()}
    for family in families:
        for sample in family.samples:
            route = sample.labels.get("route")
            if route in MACHINES or (route == UNMATCHED and not sample.labels.get("status", "").startswith("5")):
                continue
            if sample.name == f"{REQUESTS}_total":
                requests += sample.value
                errors += sample.value if sample.labels["status"].startswith("5") else 0
            elif sample.name == f"{LATENCY}_count":
                timed += sample.value
            elif sample.name == f"{LATENCY}_bucket" and sample.labels["le"] != "+Inf" and float(sample.labels["le"]) == bound:
                within += sample.value
            elif sample.name.endswith("_total") and (field := fields.get(sample.name.removesuffix("_total"))):
                plain[field] += sample.value
    return Counts(int(requests), int(errors), int(timed - within), **{field: int(value) for field, value in plain.items()})


class FrontErrors:
    """Answers that the load balancer made itself because no process of the color did, counted as its log grows."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._inode = 0
        self._at = 0
        self._counts: dict[Color, int] = dict.fromkeys(COLORS, 0)

    def read(self) -> Mapping[Color, int]:
        """Since this object was made; a rotated log is read on from its new beginning. Costs what was written since the last call."""
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


def _fetch(url: str) -> str | None:
    try:
        answer = httpx.get(url, timeout=SCRAPE_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return None
    return answer.text if answer.status_code == 200 else None
