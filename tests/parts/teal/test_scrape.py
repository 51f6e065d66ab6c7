"""Counts asked of the processes themselves: what users met, and what the load balancer had to answer itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from app.observability import metrics as service_metrics
from teal.errors import OperatorError
from teal.metrics import gates
from teal.metrics.counters import BUCKETS_SECONDS, CounterTotal
from teal.metrics.gates import GATES, USER_ROUTES, Gate, counters
from teal.metrics.scrape import FrontErrors, ScrapeMetrics
from teal.ports.metrics import Counts
from teal.release.analysis import Analysis
from tests.services.http_stand_in import Handler, listening
from tests.services.ports import free_port


class Process:
    """Counters as the service names them, served as it serves them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        one = {"registry": self.registry}
        self.requests = Counter("teal_http_requests_total", "-", ("method", "route", "status", "by"), **one)
        self.latency = Histogram("teal_http_request_seconds", "-", ("route", "by"), buckets=BUCKETS_SECONDS, **one)
        self.retrievals = Counter("teal_retrievals_total", "-", **one)
        self.empty = Counter("teal_retrieval_empty_total", "-", ("mode",), **one)
        self.streams = Counter("teal_streams_total", "-", **one)
        self.broken = Counter("teal_streams_broken_total", "-", **one)

    def meets(self, route: str, status: int, seconds: float, by: str = "user") -> None:
        self.requests.labels("POST", route, str(status), by).inc()
        self.latency.labels(route, by).observe(seconds)


@pytest.fixture
def served() -> Iterator[tuple[Process, str]]:
    process = Process()

    class Page(Handler):
        def do_GET(self) -> None:
            self.answer(body=generate_latest(process.registry))

    with listening(Page) as port:
        yield process, f"http://127.0.0.1:{port}/metrics"


def test_users_requests_count_and_machines_do_not(served: tuple[Process, str]) -> None:
    process, url = served
    for route, status, seconds in (("/v1/search", 200, 0.1), ("/v1/ask", 500, 0.1), ("/v1/ask", 200, 2.0), ("/readyz", 503, 9.0),
                                   ("/metrics", 200, 0.1), ("unmatched", 404, 0.1), ("unmatched", 500, 0.1)):  # fmt: skip
        process.meets(route, status, seconds)
    process.retrievals.inc(3)
    process.empty.labels("hybrid").inc()
    process.streams.inc(2)
    process.broken.inc()
    found = ScrapeMetrics(lambda _: [url], slow_seconds=1.0).read("green")
    everybody = {"requests": 4, "errors": 2, "slow": 1, "searches": 3, "empty": 1, "streams": 2, "broken_streams": 1}
    users = {"search_users": 1, "ask_users": 2, "ask_users_failed": 1, "ask_users_late": 1}
    kinds = {f"{kind}_users{what}": 0 for kind in USER_ROUTES for what in ("", "_failed", "_refused", "_late")}
    # This process has no counters of a model's calls or of answers, which is not the same as none.
    assert found == Counts({**kinds, **everybody, **users})


def test_a_releaser_s_probes_are_counted_apart_from_users(served: tuple[Process, str]) -> None:
    process, url = served
    process.meets("/v1/documents/upload", 500, 0.1)
    for _ in range(9):
        process.meets("/v1/documents/upload", 202, 0.1, by="probe")
    found = ScrapeMetrics(lambda _: [url]).read("green")
    assert (found["requests"], found["upload_users"], found["upload_users_failed"]) == (10, 1, 1)


def test_processes_add_up_and_one_that_is_gone_is_left_out(served: tuple[Process, str]) -> None:
    process, url = served
    process.meets("/v1/search", 200, 0.1)
    gone = f"http://127.0.0.1:{free_port()}/metrics"
    assert ScrapeMetrics(lambda _: [url, url, gone]).read("blue")["requests"] == 2


def test_when_nobody_answers_that_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(OperatorError):
        ScrapeMetrics(lambda _: [f"http://127.0.0.1:{free_port()}/metrics"]).read("blue")
    with pytest.raises(OperatorError):
        ScrapeMetrics(lambda _: []).read("blue")


def test_what_the_load_balancer_answered_itself_is_an_error_of_its_color(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(json.dumps({"status": 502, "color": "green", "request_id": "before"}) + "\n")
    front = FrontErrors(log)
    assert front.read() == {"blue": 0, "green": 0}
    with log.open("a") as file:
        for row in ({"status": 502, "color": "green", "request_id": "a"}, {"status": 200, "color": "green"},
                    {"status": 404, "request_id": "b"}, {"status": 503, "color": "blue", "request_id": "c"}):  # fmt: skip
            file.write(json.dumps(row) + "\n")
        file.write('{"status": 502, "color": "green", "request_id"')
    assert front.read() == {"blue": 1, "green": 1}


def test_a_new_gate_is_added_up_over_all_processes_without_another_line_of_code(served: tuple[Process, str]) -> None:
    process, url = served
    uploads = Counter("teal_uploads_total", "-", ("route",), registry=process.registry)
    Counter("teal_uploads_failed_total", "-", registry=process.registry).inc(30)
    uploads.labels("/v1/documents/upload").inc(60)
    gate = Gate("uploads", gates.Counter("failed_uploads", CounterTotal("teal_uploads_failed")), gates.Counter("uploads", CounterTotal("teal_uploads")),
                margin=0.01, limit=0.05)  # fmt: skip
    found = ScrapeMetrics(lambda _: [url, url], gates=(*GATES, gate)).read("blue")
    assert (found["uploads"], found["failed_uploads"]) == (120, 60)
    (judged,) = Analysis(steps=1, minimum=100, gates=(gate,)).look(found, None)
    assert judged.verdict == "Failed"


def test_the_services_own_names_and_buckets_are_the_ones_that_are_read() -> None:
    written = [metric for metric in vars(service_metrics).values() if isinstance(metric, MetricWrapperBase)]
    labels = {metric.describe()[0].name: bool(metric._labelnames) for metric in written}
    read = {counter.read.series: counter.read.lazy for counter in counters(GATES)}
    assert read == {series: labels.get(series) for series in read}
    assert service_metrics.LATENCY_BUCKETS_SECONDS == BUCKETS_SECONDS
