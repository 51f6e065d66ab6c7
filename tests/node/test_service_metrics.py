"""A real Prometheus with the platform's scrape configuration and rules, on pods of the service: what it scrapes, what it then has, and that the
gates' counts lose nothing of pods that end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

import httpx
import pytest

from contract.scrape import NAME_LABEL, SEARCH_REPORTER
from infra.platform.cluster.addons import STATE_METRICS
from infra.platform.search.resources import NAMESPACE as SEARCH_NAMESPACE
from teal.metrics.prometheus import PrometheusMetrics
from tests.cluster.apiserver import conditions
from tests.node import asked, color, pods, prometheus
from tests.node.conftest import Service
from tests.node.node import await_true
from tests.node.prometheus import SCRAPE_SECONDS, Prometheus
from tests.parts.app.service import add

pytestmark = [pytest.mark.integration, pytest.mark.weekly]

FOUND_SECONDS: Final = 60.0  # Prometheus brings new targets together for 5 s, and scrapes each at its own moment
REQUESTS: Final = 40
NO_MODEL: Final = "no language model is asked here"
NO_LOCUST: Final = "Locust's own: no load test runs here"
# Of what the platform's queries name, what has no series here, and why.
ABSENT: Final[Mapping[str, str]] = {
    "teal_ingest_rescued_total": "no job here has lost its worker",
    "teal_snapshot_age_seconds": "workers take no snapshots here, as on AWS, where Elasticsearch's exporter tells their age",
    **dict.fromkeys(("teal_model_calls_total", "teal_model_errors_total", "teal_model_first_token_seconds_bucket"), NO_MODEL),
    **dict.fromkeys(("teal_model_rate_limited_total", "teal_model_tokens_total"), NO_MODEL),
    **dict.fromkeys(
        ("load_failures_total", "load_generator_cpu_ratio", "load_generator_late_seconds", "load_good_answers_total"), NO_LOCUST
    ),
    **dict.fromkeys(("load_latency_seconds", "load_requests_total", "load_streams", "load_users"), NO_LOCUST),
}


@pytest.fixture(scope="module")
def scraped(observed: Service) -> Iterator[Prometheus]:
    with prometheus.start(observed.node, prometheus.sooner()) as running:
        yield running


def test_each_job_finds_its_pods_with_the_collector_s_rights_and_reaches_them(observed: Service, scraped: Prometheus) -> None:
    ours = [*observed.pods(), *observed.node.pods(color.NAMESPACE, **{"app.kubernetes.io/component": "worker"})]
    wanted = {"teal": {each["metadata"]["name"] for each in ours}, STATE_METRICS: {STATE_METRICS}}
    wanted["teal"] |= {each["metadata"]["name"] for each in observed.node.pods(SEARCH_NAMESPACE, **{NAME_LABEL: SEARCH_REPORTER})}
    await_true(lambda: _up(scraped) == wanted, f"targets {wanted}: {_up(scraped)}", FOUND_SECONDS)
    assert {len(found) for found in wanted.values()} > {1}
    for one in scraped.targets()["teal"]:
        pod = next((each for each in ours if each["metadata"]["name"] == one["labels"]["pod"]), None)
        if pod is not None:
            said, held = one["labels"], pod["metadata"]["labels"]
            assert said["namespace"] == color.NAMESPACE
            assert said["color"] == held["teal/color"]
            assert (said["component"], said["release"]) == (
                held["app.kubernetes.io/component"],
                held["app.kubernetes.io/version"],
            )
            assert said["container_id"] == pod["status"]["containerStatuses"][0]["containerID"]


def test_every_metric_and_label_that_gates_rules_and_dashboards_name_is_there(observed: Service, scraped: Prometheus) -> None:
    with httpx.Client(base_url=observed.url, headers=observed.headers, timeout=30) as client:
        for number in range(REQUESTS):
            client.post("/v1/search", json={"query": f"lighthouse {number}"})
            client.post("/v1/ask", json={"question": "Who writes the weather into a green book?", "stream": number % 2 == 0})
        client.post("/v1/search", json={"query": ""})
        client.post("/v1/search", json={"query": "zxqv"})
        add(client, "Harbour", "The harbour master counts the boats each evening.")
    with suppress(TimeoutError):  # what is missing then is said
        await_true(lambda: asked.missing(scraped).keys() <= ABSENT.keys(), "all that is asked for", FOUND_SECONDS)
    found = asked.missing(scraped)
    print(*(f"{name}: {ABSENT.get(name, 'not known why')}; {', '.join(where)}" for name, where in found.items()), sep="\n")
    assert found.keys() <= ABSENT.keys()


def test_rules_are_judged_without_an_error_and_none_fires_on_the_quiet_service(observed: Service, scraped: Prometheus) -> None:
    await_true(lambda: all(float(rule["evaluationTime"]) > 0 for rule in scraped.rules()), "all rules judged", FOUND_SECONDS)
    assert [rule["lastError"] for rule in scraped.rules() if rule["health"] != "ok"] == []
    print("pending:", sorted(scraped.alerts()))
    assert [name for name, state in scraped.alerts().items() if state == "firing"] == []


def test_gates_count_each_request_once_though_a_pod_ends_and_another_s_container_begins_anew(
    observed: Service, scraped: Prometheus
) -> None:
    gates = PrometheusMetrics(scraped.query_url, {"blue": f'namespace="{color.NAMESPACE}"', "green": 'namespace="nobody"'})
    before = gates.read("blue")["search_users"]

    def await_counted(requests: int) -> None:
        await_true(lambda: gates.read("blue")["search_users"] - before >= requests, f"{requests} requests counted", FOUND_SECONDS)
        time.sleep(2 * SCRAPE_SECONDS)  # more would be seen by then
        assert gates.read("blue")["search_users"] - before == requests

    _search(observed, REQUESTS)
    await_counted(REQUESTS)
    ended, restarted = observed.pods()[:2]
    observed.end(ended)
    pods.kill(observed.node, restarted)
    await_true(lambda: _began_anew(observed, restarted["metadata"]["name"]), "the container's new start", FOUND_SECONDS)
    _search(observed, REQUESTS)
    await_counted(2 * REQUESTS)
    name = ended["metadata"]["name"]
    await_true(lambda: not scraped.rows(f'teal_build_info{{pod="{name}"}}'), f"the end of {name}'s series", FOUND_SECONDS)
    series = scraped.ask("series", **{"match[]": f'teal_build_info{{pod="{restarted["metadata"]["name"]}"}}'})
    assert len({one["container_id"] for one in series}) == 2


def _up(scraped: Prometheus) -> dict[str, set[str]]:
    """The pods of each job whose last scrape got through. Those of kube-state-metrics have no label of their own."""
    return {
        job: {one["discoveredLabels"]["__meta_kubernetes_pod_name"] for one in found if one["health"] == "up"}
        for job, found in scraped.targets().items()
    }


def _search(observed: Service, requests: int) -> None:
    """Each on a connection of its own, so that each may go to another pod."""
    for number in range(requests):
        httpx.post(
            f"{observed.url}/v1/search",
            headers=observed.headers,
            json={"query": f"weather {number}"},
            timeout=30,
            trust_env=False,
        ).raise_for_status()


def _began_anew(observed: Service, name: str) -> bool:
    (pod,) = [each for each in observed.pods() if each["metadata"]["name"] == name]
    return bool(pod["status"]["containerStatuses"][0]["restartCount"]) and "True" in conditions(pod, "Ready")
