"""What may speak to whom, tried from real pods under the platform's own network policies, before and after somebody enforces them.

The pods have the labels and namespaces of the service's, and hold a network: whether a packet arrives is seen without anybody who listens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from contract.http import POD_PORT
from contract.names import NAMESPACES
from contract.pods import pod_labels
from contract.scrape import WORKER_METRICS_PORT
from infra.platform.network.rules import POSTGRES, REDIS
from infra.platform.search.resources import NAMESPACE as SEARCH_NAMESPACE
from tests.node import color, dns, machine, pods, policies, search
from tests.node.node import Node

pytestmark = pytest.mark.integration

STRANGER: Final = "stranger"  # a namespace of somebody else, without policies
KUBELET: Final = 10250
AT_A_TIME: Final = 4
CHANGING_SECONDS: Final = 8.0  # one question was lost in each second, where a change drops what waits
CHANGE_SECONDS: Final = 0.5
Attempt = Callable[[], str]


@pytest.fixture(scope="module")
def tries(running_node: Node) -> Iterator[dict[str, Attempt]]:
    """Attempts by what they are."""
    node = running_node
    blue, green = NAMESPACES["blue"], NAMESPACES["green"]
    stranger_namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STRANGER}}
    for document in (*color.closed(blue), *color.closed(green), stranger_namespace):
        node.server.apply(document, "administrator")
    place = search.start(node)
    manifests = [
        pods.manifest(blue, "tried-web", pod_labels("blue", "app")),
        pods.manifest(blue, "tried-worker", pod_labels("blue", "worker")),
        pods.manifest(green, "tried-other", pod_labels("green", "app")),
        pods.manifest(STRANGER, "tried-stranger", {}),
    ]
    web, worker, other, stranger = (pods.start(node, one) for one in manifests)
    (engine,) = node.pods(SEARCH_NAMESPACE, **search.LABELS)
    api, metrics = (web["status"]["podIP"], POD_PORT), (worker["status"]["podIP"], WORKER_METRICS_PORT)

    def of(pod: dict[str, Any], host: str, port: int) -> Attempt:
        return lambda: policies.outcome_of_pod(node, pod, host, port)

    def of_balancer(host: str, port: int) -> Attempt:
        # Like a load balancer's, an address of the VPC without a pod; not as root, whose packets on the node nobody judges.
        nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
        return lambda: policies.outcome(node, host, port, *nobody)

    yield {
        "a web pod of one color to the other color's": of(other, *api),
        "a worker to the API": of(worker, *api),
        "a web pod to a worker": of(web, *metrics),
        "a web pod to kubelet": of(web, machine.ADDRESS, KUBELET),
        "a web pod to Elasticsearch between its nodes": of(web, place.address, 9300),
        "a stranger's pod to Elasticsearch": of(stranger, place.address, search.PORT),
        "Elasticsearch to the API": of(engine, *api),
        "Elasticsearch to PostgreSQL": of(engine, machine.STORES, POSTGRES),
        "may: a web pod to the cluster's names": of(web, dns.ADDRESS, 53),
        "may: a web pod to Elasticsearch": of(web, place.address, search.PORT),
        "may: a web pod to PostgreSQL": of(web, machine.STORES, POSTGRES),
        "may: a web pod to Redis": of(web, machine.STORES, REDIS),
        "may: a worker to Elasticsearch": of(worker, place.address, search.PORT),
        "may: a worker to PostgreSQL": of(worker, machine.STORES, POSTGRES),
        "may: the other color to Elasticsearch": of(other, place.address, search.PORT),
        "may: the load balancer to the API": of_balancer(*api),
        "may: the metrics' collector to a worker": of_balancer(*metrics),
    }
    for one in manifests:
        node.server.ask("DELETE", node.server.path(one))


def test_what_the_policies_forbid_is_dropped_and_what_they_allow_gets_through(
    running_node: Node, tries: dict[str, Attempt]
) -> None:
    assert _outcomes(tries) == dict.fromkeys(tries, "through"), "without anybody who enforces them"
    with policies.enforced(running_node):
        found = _outcomes(tries)
    print("\n".join(f"{how}: {what}" for what, how in found.items()))
    assert found == {what: "through" if what.startswith("may: ") else "dropped" for what in tries}


def test_no_question_to_the_clusters_names_is_lost_while_policies_change(running_node: Node) -> None:
    """As in a release: whoever then looks for a part that has just come is told at once, or would wait for 5 s."""
    node, namespace = running_node, NAMESPACES["blue"]
    for document in color.closed(namespace):
        node.server.apply(document, "administrator")
    asking = pods.start(node, pods.manifest(namespace, "asking", pod_labels("blue", "app")))
    changing = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "changing", "namespace": namespace},
    }
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    lost = asked = changes = 0
    with policies.enforced(node):
        until = time.monotonic() + CHANGING_SECONDS
        while time.monotonic() < until:
            changes += 1
            node.server.apply({**changing, "spec": {**spec, "ingress": [{"ports": [{"port": changes}]}]}}, "administrator")
            told = _asked_for(CHANGE_SECONDS, node, asking)
            asked, lost = asked + len(told), lost + told.count(False)
    for document in (changing, asking):
        node.server.ask("DELETE", node.server.path(document))
    print(f"{lost} of {asked} questions lost in {changes} changes")
    assert lost == 0


def _asked_for(seconds: float, node: Node, pod: dict[str, Any]) -> list[bool]:
    """Whether each question of the pod's was answered, one after another."""
    told, until = [], time.monotonic() + seconds
    with machine.network(pods.network(node, pod)):
        while time.monotonic() < until:
            told.append(dns.answers(f"kubernetes.default.svc.{dns.DOMAIN}", seconds=1))
    return told


def _outcomes(tries: dict[str, Attempt]) -> dict[str, str]:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return dict(zip(tries, pool.map(lambda attempt: attempt(), tries.values()), strict=True))
