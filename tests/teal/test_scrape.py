"""Counts asked of the processes themselves: what users met, and what the load balancer had to answer itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from app import telemetry
from teal.errors import OperatorError
from teal.metrics import scrape
from teal.metrics.port import Counts
from teal.metrics.scrape import FrontErrors, ScrapeMetrics
from tests.conftest import free_port


class Process:
    """Counters as the service names them, served as it serves them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        one = {"registry": self.registry}
        self.requests = Counter("teal_http_requests_total", "-", ("method", "route", "status"), **one)
        self.latency = Histogram("teal_http_request_seconds", "-", ("route",), buckets=scrape.BUCKETS_SECONDS, **one)
        self.retrievals = Counter("teal_retrievals_total", "-", **one)
        self.empty = Counter("teal_retrieval_empty_total", "-", ("mode",), **one)
        self.streams = Counter("teal_streams_total", "-", **one)
        self.broken = Counter("teal_streams_broken_total", "-", **one)

    def meets(self, route: str, status: int, seconds: float) -> None:
        self.requests.labels("POST", route, str(status)).inc()
        self.latency.labels(route).observe(seconds)


@pytest.fixture
def served() -> Iterator[tuple[Process, str]]:
    process = Process()

    class Page(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return

        def do_GET(self) -> None:
            body = generate_latest(process.registry)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield process, f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()


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
    assert found == Counts(requests=4, errors=2, slow=1, searches=3, empty=1, streams=2, broken_streams=1)


def test_processes_add_up_and_one_that_is_gone_is_left_out(served: tuple[Process, str]) -> None:
    process, url = served
    process.meets("/v1/search", 200, 0.1)
    gone = f"http://127.0.0.1:{free_port()}/metrics"
    assert ScrapeMetrics(lambda _: [url, url, gone]).read("blue").requests == 2


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


def test_the_services_own_names_and_buckets_are_the_ones_that_are_read() -> None:
    names = {metric.describe()[0].name for metric in (telemetry.REQUESTS, telemetry.LATENCY)}
    assert names == {scrape.REQUESTS, scrape.LATENCY}
    counters = (telemetry.RETRIEVALS, telemetry.EMPTY, telemetry.MODEL_CALLS, telemetry.MODEL_LIMITED, telemetry.STREAMS_BEGUN,
                telemetry.STREAMS_BROKEN)  # fmt: skip
    assert {counter.describe()[0].name for counter in counters} == set(scrape.PLAIN.values())
    assert telemetry._LATENCY_BUCKETS_SECONDS == scrape.BUCKETS_SECONDS
