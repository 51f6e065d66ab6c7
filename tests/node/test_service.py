"""The service's own image in pods, under the objects that both programs make: `make test-node`."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest
from redis import Redis
from redis.exceptions import ConnectionError

from infra.platform.search.resources import URL as SEARCH_URL
from teal.aws.jobs import run_admin_job
from teal.errors import AdminFailed
from tests.node import color, pods
from tests.node.conftest import FIRST, REPLICAS, Service
from tests.node.load import open_loop
from tests.node.node import Node, await_true

pytestmark = pytest.mark.integration

READY_AT_MOST_SECONDS = 20.0
SECOND = "r-20261129-2"
SCALED = 4
PER_SECOND = 5.0  # requests; over the minutes of these changes some hundreds
AT_LEAST = 200  # of them, or the test says nothing
MORE_SECONDS = 2 * AT_LEAST / PER_SECOND
SEARCH_HOST = urlsplit(SEARCH_URL).hostname
LOST_SECONDS = 0.8
TOO_LONG_SECONDS = 4.0  # the C library's own wait is 5
ASK_SECONDS = 6.0
# The longest of many lookups, in the pod
ASK_FOR_NAMES = f"""
import socket, time
worst, until = 0.0, time.monotonic() + {ASK_SECONDS}
while time.monotonic() < until:
    began = time.monotonic()
    socket.getaddrinfo("{SEARCH_HOST}", 9200)
    worst = max(worst, time.monotonic() - began)
    time.sleep(0.05)
print(worst)
"""
SEARCH = {"query": "lighthouse keeper {number}", "mode": "lexical", "top_k": 1}


def test_the_node_is_ready_soon(running_node: Node) -> None:
    print(f"node ready after {running_node.ready_seconds:.1f} s")
    assert running_node.ready_seconds < READY_AT_MOST_SECONDS


def test_pods_of_the_image_are_ready_and_a_document_gets_through_all_parts(service: Service, lighthouse: str) -> None:
    print(f"{REPLICAS} pods ready after {service.ready_seconds:.1f} s")
    with httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as client:
        await_true(lambda: client.get("/readyz").json()["status"] == "ready", "every part answers, the cache too")
        answer = client.post("/v1/search", json={**SEARCH, "query": "who writes the weather down"})
        assert [hit["title"] for hit in answer.json()["hits"]] == [lighthouse], answer.text


def test_answers_are_cached_in_redis_by_tls_alone(service: Service, lighthouse: str) -> None:
    with httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as client:
        client.post("/v1/search", json=SEARCH).raise_for_status()
    url = service.stores.redis.partition("?")[0]
    with Redis.from_url(url, ssl_ca_certs=str(service.stores.authority)) as redis:
        await_true(redis.dbsize, "an entry of the cache")
    with Redis.from_url(url.replace("rediss:", "redis:")) as plain, pytest.raises(ConnectionError):
        plain.ping()


def test_a_command_that_fails_in_a_job_says_why_in_its_own_words(service: Service) -> None:
    entry = color.state(color.record(service.stores, service.digest, FIRST, REPLICAS))
    with pytest.raises(AdminFailed) as failed:
        run_admin_job(service.cluster, color.COLOR, entry, color.job_settings(), ("keys", "revoke", "nobody"))
    assert "nobody" in str(failed.value)


def test_a_question_to_the_clusters_names_that_is_lost_costs_a_second_and_not_five(service: Service) -> None:
    (pod, *_), node = service.pods(), service.node
    lost = ("PREROUTING", "-s", pod["status"]["podIP"], "-p", "udp", "--dport", "53", "-j", "DROP")
    with ThreadPoolExecutor(1) as beside:
        slowest = beside.submit(pods.execute, node, pod, "python3", "-c", ASK_FOR_NAMES)
        time.sleep(ASK_SECONDS / 2)
        with node.machine.rule(*lost, table="raw"):
            time.sleep(LOST_SECONDS)
        seconds = float(slowest.result())
    print(f"the slowest lookup took {seconds:.2f} s, with names lost for {LOST_SECONDS} s")
    assert LOST_SECONDS / 2 < seconds < TOO_LONG_SECONDS


def test_scaling_an_ended_pod_and_a_new_version_lose_no_request(service: Service, lighthouse: str) -> None:
    with open_loop(f"{service.url}/v1/search", service.headers, SEARCH, per_second=PER_SECOND) as load:
        service.release(FIRST, SCALED)
        scaled = service.await_rollout(SCALED)
        replaced = service.end(service.pods()[0])
        service.release(SECOND, SCALED)
        renewed = service.await_rollout(SCALED)
        await_true(lambda: load.sent >= AT_LEAST, f"{AT_LEAST} requests: a fast machine's changes take less time", MORE_SECONDS)
    print(
        f"{REPLICAS} to {SCALED} pods {scaled:.0f} s, one replaced {replaced:.0f} s, all renewed {renewed:.0f} s; "
        f"{load.sent} requests, {len(load.failed)} failed, median {statistics.median(load.milliseconds):.0f} ms, "
        f"slowest {max(load.milliseconds):.0f} ms"
    )
    assert load.failed == []
    assert load.sent >= AT_LEAST
    assert {pod["metadata"]["labels"]["app.kubernetes.io/version"] for pod in service.pods()} == {SECOND}
