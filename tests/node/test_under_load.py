"""The distributed load test on the cluster: the platform's own master and workers in pods, under its network policies, against the service's
pods with the mock model. The result is the same file as everywhere, and counts what the service counts, and so does the platform's collector."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from contract.http import POD_PORT
from contract.names import DEPLOYMENT
from contract.pods import COLOR_LABEL, COMPONENT_LABEL
from contract.scrape import LOAD_METRICS_PORT
from infra.platform.cluster.load_test import NAMESPACE, PAGE
from loadtests import questions
from loadtests.measured import BETWEEN_TOKENS, END, FIRST_EVENT, SEARCH, LoadTestResult
from tests.node import asked, color, locust_pods, policies, prometheus
from tests.node.conftest import Service
from tests.node.locust_pods import WORKERS, LoadTestPods
from tests.node.node import await_true
from tests.node.prometheus import Prometheus
from tests.parts.app.service import add
from tests.services import load_image

pytestmark = [pytest.mark.integration, pytest.mark.weekly]  # an image of its own is built, minutes more than `.ci/run` has left

MOCKED = "r-20261129-3"  # the release whose answers the mock model writes
HOST = f"http://{DEPLOYMENT}.{color.NAMESPACE}:{POD_PORT}"  # the color's Service, as docs/load.md says
SECONDS = 12.0
SCALE = 0.5  # of the shape's 20 requests a second: the service and the generator share two cores
BEFORE_STOP_SECONDS = 6.0
FOUND_SECONDS = 60.0  # Prometheus brings new targets together for 5 s, and scrapes each at its own moment
DROPPED_SECONDS = 3.0  # a packet that is dropped is sent again after 1 s
DRAIN_SECONDS = 180.0  # a pod's grace is below two minutes
ROUTES = {SEARCH: "/v1/search", FIRST_EVENT: "/v1/ask"}


@pytest.fixture(scope="module")
def load_test(service: Service) -> Iterator[LoadTestPods]:
    """The load test's pods, beside as many of the service's as there are, which ask the mock model; network policies are enforced."""
    node = service.node
    with httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as client:
        # No search may find nothing, so one document has the words of every question.
        add(client, "Questions", " ".join(one.text for one in questions.load_questions(questions.DEFAULT)))
    found = locust_pods.platform(node.load(load_image.archive(), color.repository()))
    with policies.enforced(node, (PAGE, LOAD_METRICS_PORT)):
        made = locust_pods.start(node, found, service.key)
        replicas = len(service.pods())
        service.release(MOCKED, replicas, locust_pods.model_settings(found))
        service.await_rollout(replicas)
        # Pods that drain may answer a connection until everybody knows that they go, and their counts go with them.
        await_true(lambda: _all_pods(service) == replicas, "pods of the release before gone", DRAIN_SECONDS)
        yield made
        locust_pods.remove(node)


@pytest.fixture(scope="module")
def scraped(service: Service, load_test: LoadTestPods) -> Iterator[Prometheus]:
    """In the node's network, so that the policies judge it as a machine of the VPC, which AWS' collector is."""
    with prometheus.start(service.node, prometheus.sooner()) as running:
        yield running


def _all_pods(service: Service) -> int:
    """The color's web pods, those that are being ended included."""
    selector = {"labelSelector": f"{COLOR_LABEL}={color.COLOR},{COMPONENT_LABEL}=app"}
    return len(service.node.server.ask("GET", f"/api/v1/namespaces/{color.NAMESPACE}/pods", params=selector)["items"])


def counted(service: Service) -> Counter[str]:
    """Requests that the service's pods have answered, by route, and their calls of the model."""
    found: Counter[str] = Counter()
    for pod in service.pods():
        text = httpx.get(f"http://{pod['status']['podIP']}:{POD_PORT}/metrics", timeout=30).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "teal_http_requests_total":
                    found[sample.labels["route"]] += int(sample.value)
                if sample.name == "teal_model_calls_total":
                    found["model"] += int(sample.value)
    return found


def test_two_runs_of_the_page_end_with_results_of_their_own_which_count_what_the_service_counts(
    service: Service, load_test: LoadTestPods
) -> None:
    before = counted(service)
    with load_test.page() as page:
        locust_pods.swarm(page, HOST, "release", load_seconds=str(SECONDS), load_scale=str(SCALE))
        whole = locust_pods.await_report(page, [], SECONDS + locust_pods.REPORT_SECONDS)
        locust_pods.await_workers(page)
        locust_pods.swarm(page, HOST, "release", load_seconds="600", load_scale=str(SCALE))
        time.sleep(BEFORE_STOP_SECONDS)
        began = time.monotonic()
        page.post("/stop")
        stopped = locust_pods.await_report(page, [whole], locust_pods.REPORT_SECONDS)
        stop_seconds = time.monotonic() - began
        runs = {name: locust_pods.result(page, name) for name in (whole, stopped)}
        pages = {name: page.get(f"/reports/{name}/index.html").text for name in runs}
    seen = counted(service) - before
    for name, run in runs.items():
        print(f"{name}: {run.outcome} {run.why}; sent {run.generator.sent}; p99 late {run.generator.late_p99_ms} ms")
    print(
        f"pods ready after {load_test.start_seconds:.0f} s, stopped after {stop_seconds:.0f} s; the service counted {dict(seen)}"
    )

    assert [run.interrupted for run in runs.values()] == [False, True]
    for run in runs.values():
        _nothing_was_lost(run)
    assert runs[whole].totals[SEARCH].requests + runs[whole].totals[FIRST_EVENT].requests == pytest.approx(
        20 * SCALE * SECONDS, abs=20 * SCALE
    )
    for name, route in ROUTES.items():
        assert sum(run.generator.sent[name] for run in runs.values()) == seen[route], (name, seen)
    assert seen["model"] > 0
    assert all("<svg" in text for text in pages.values())
    assert set(load_test.restarts().values()) == {0}


def test_the_collector_reaches_the_master_at_its_counts_alone_and_has_what_locust_reports(
    service: Service, load_test: LoadTestPods, scraped: Prometheus
) -> None:
    master = load_test.master()
    address, name = master["status"]["podIP"], master["metadata"]["name"]
    await_true(lambda: _up(scraped) == {name}, f"the target {name}", FOUND_SECONDS)
    assert "load_requests_total" in httpx.get(f"http://{address}:{LOAD_METRICS_PORT}/metrics", timeout=30, trust_env=False).text
    with pytest.raises(TimeoutError):  # who reaches the page starts load
        socket.create_connection((address, PAGE), policies.WAIT_SECONDS)
    with load_test.page() as page:
        locust_pods.await_workers(page)
        known = locust_pods.reports(page)
        locust_pods.swarm(page, HOST, "release", load_seconds=str(SECONDS), load_scale=str(SCALE))
        report = locust_pods.await_report(page, known, SECONDS + locust_pods.REPORT_SECONDS)
        run = locust_pods.result(page, report)
        rows = [row for row in page.get("/stats/requests").json()["stats"] if row["name"] != "Aggregated"]
    _nothing_was_lost(run)
    reported = {row["name"]: float(row["num_requests"]) for row in rows}
    await_true(lambda: _counts(scraped, "load_requests_total") == reported, f"the counts {reported}", FOUND_SECONDS)
    assert _counts(scraped, "load_failures_total") == {row["name"]: float(row["num_failures"]) for row in rows}
    # Gaps between tokens are samples of a stream, and no requests of Locust's own.
    assert reported == {each: float(count.requests) for each, count in run.totals.items() if each != BETWEEN_TOKENS}
    assert scraped.value("load_good_answers_total") == run.generator.good > 0
    assert scraped.value("load_tokens_total") == run.generator.tokens > 0
    assert scraped.value("max_over_time(load_users[5m])") == 20 * SCALE
    print(f"Locust's counts, and the collector's: {reported}")
    # What the board of load tests asks for is all there.
    assert [each for each in asked.missing(scraped) if each.startswith("load_")] == []


def _up(scraped: Prometheus) -> set[str]:
    """The pods of the load test's namespace that the platform's job reaches."""
    found = [one for one in scraped.targets().get("teal", []) if one["labels"]["namespace"] == NAMESPACE]
    return {one["labels"]["pod"] for one in found if one["health"] == "up"}


def _counts(scraped: Prometheus, metric: str) -> dict[str, float]:
    return {row["metric"]["name"]: float(row["value"][1]) for row in scraped.rows(metric)}


def _nothing_was_lost(run: LoadTestResult) -> None:
    """Every request was answered, and streams that were open at the end were read to their own."""
    assert (run.host, run.about["workers"], run.lost_workers) == (HOST, WORKERS, 0)
    assert (run.failures, run.exceptions, run.generator.died) == ([], [], 0)
    assert run.generator.sent == run.generator.answered == {name: run.totals[name].requests for name in ROUTES}
    assert run.totals[END].requests == run.totals[FIRST_EVENT].requests > 0
    assert run.generator.tokens > 0
    assert run.windows[-1].generator.streams == 0
