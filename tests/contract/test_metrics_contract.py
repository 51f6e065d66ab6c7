"""What both metrics adapters promise. Where they differ:

| | scrape (laptop) | prometheus (AWS) |
|---|---|---|
| how old a count is | not at all: each process is asked | up to a scrape interval, 30 s |
| a process that ended | its counts are gone; `Counts.since` begins again at zero | its counts stay in the sum |
| a metric that nobody writes | left out: the page does not name it | left out; one with labels has no series before its first count, and is 0 |
| requests that reached no process | counted from the load balancer's log | not counted; alarms on the load balancer's own 5xx watch them |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from teal.errors import OperatorError
from teal.metrics.gates import GATES, counters
from teal.metrics.prometheus import PrometheusMetrics
from teal.metrics.scrape import ScrapeMetrics
from teal.ports.metrics import Counts, Metrics
from tests.services.http_stand_in import Handler, listening
from tests.services.ports import free_port
from tests.unit.teal.metrics.test_prometheus import PAGE, SELECTORS, prometheus


@pytest.fixture(scope="module")
def process() -> Iterator[str]:
    """One process of blue that serves PAGE; green has none."""

    class Page(Handler):
        def do_GET(self) -> None:
            self.answer(body=PAGE.encode())

    with listening(Page) as port:
        yield f"http://127.0.0.1:{port}/metrics"


@pytest.fixture(params=["scrape", "prometheus"])
def metrics(request: pytest.FixtureRequest, process: str) -> Metrics:
    nobody = f"http://127.0.0.1:{free_port()}/metrics"
    adapters: dict[str, Callable[[], Metrics]] = {
        "scrape": lambda: ScrapeMetrics(lambda color: [process] if color == "blue" else [nobody]),
        "prometheus": lambda: PrometheusMetrics("https://prometheus.example/api/v1/query", SELECTORS, transport=prometheus()),
    }
    return adapters[request.param]()


def test_a_color_s_counts_are_those_of_its_processes_without_what_machines_ask(metrics: Metrics) -> None:
    found = metrics.read("blue")
    everybody = {"requests": 97, "errors": 5, "slow": 5, "searches": 88, "empty": 4, "model_calls": 60, "rate_limited": 5,
                 "streams": 50, "broken_streams": 1, "unfinished_streams": 2, "answers": 89, "unanswered": 9, "claims": 200,
                 "dropped_claims": 7}  # fmt: skip
    users = {
        "ask_users": 90,
        "ask_users_late": 5,
        "search_users": 3,
        "search_users_failed": 3,
    }  # the two about documents were probes
    assert found == Counts({**{counter.name: 0 for counter in counters(GATES)}, **everybody, **users})


def test_a_color_that_nobody_answers_for_is_an_error_and_never_zero(metrics: Metrics) -> None:
    with pytest.raises(OperatorError, match="green"):
        metrics.read("green")


def test_reading_again_without_requests_adds_nothing(metrics: Metrics) -> None:
    assert set(metrics.read("blue").since(metrics.read("blue")).values()) == {0}
