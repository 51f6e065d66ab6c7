"""Elasticsearch of the platform in pods that ECK's own operator makes, of an image of the tests': `make test-node ARGS="-m weekly"`.

What is changed of the platform's objects, and why, is the table of elasticsearch_pods.py. `GET /` and `_nodes/shutdown` are answered by a
stand-in plugin of the tests', because Maven's zip has neither. Disks are folders of the node. Network policies are enforced.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from contract.http import POD_PORT
from contract.pods import SECRETS_FOLDER
from infra.compose.settings import SEARCH_CA_FILE
from infra.platform.search import operator, setup, users
from infra.platform.search.network import HTTP, TRANSPORT
from infra.platform.search.resources import CA_SECRET, NAMESPACE, URL
from tests.cluster.apiserver import conditions
from tests.node import color, eck, node, pods, policies, secrets_driver, stores
from tests.node.conftest import Service, serve
from tests.node.elasticsearch_pods import Cluster, claim_for_snapshots, prepared
from tests.node.load import TIMEOUT_SECONDS, open_loop
from tests.node.node import Node, await_true
from tests.parts.app.service import add
from tests.services import aws_server, elasticsearch_image
from tests.unit.infra.conftest import Stack

pytestmark = [pytest.mark.integration, pytest.mark.weekly]

SEARCH: Final = {"query": "lighthouse keeper {number}", "mode": "lexical", "top_k": 1}
STRANGER: Final = "stranger"  # a namespace of somebody else, without policies
PER_SECOND: Final = 5.0
CHANGED: Final = {"indices.recovery.max_bytes_per_sec": "50mb"}  # any setting that wants new pods
ROLLED_SECONDS: Final = 900.0
BACK_SECONDS: Final = 300.0
ALONE_SECONDS: Final = 20.0


@pytest.fixture(scope="module")
def search_node(image: Path) -> Iterator[Node]:
    """A node of its own, because other tests put an Elasticsearch under the same names. The platform's network policies are enforced on it
    from before the operator's first packet."""
    with node.start() as started, policies.enforced(started):
        started.load(elasticsearch_image.build())
        eck.install(started, "staging")
        with prepared(started):
            yield started


@pytest.fixture(scope="module")
def cluster(search_node: Node, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A stack's, from nothing; the one before is gone with its claims, or it would be changed in place."""
    stack: Stack = request.param
    for document in eck.platform_objects(stack):
        if document["kind"] in ("Secret", "ServiceAccount"):
            search_node.server.apply(document, "administrator")
    claim_for_snapshots(search_node)
    made = Cluster(search_node, stack)
    made.apply()
    took = made.await_healthy()
    print(f"{stack}: {len(made.pods())} pods, ready and green after {took:.0f} s")
    yield made
    eck.remove(search_node, stack)


ONE: Final = pytest.mark.parametrize("cluster", ["dev"], indirect=True)
THREE: Final = pytest.mark.parametrize("cluster", ["staging"], indirect=True)


@ONE
def test_the_pod_of_dev_gets_ready_with_the_operators_certificate_and_the_platforms_users(cluster: Cluster) -> None:
    said = cluster.ask(users.METRICS, "GET", "/").json()
    assert said["version"]["number"] == elasticsearch_image.NAME.rpartition(":")[2]
    assert cluster.ask(users.METRICS, "GET", "/_cluster/health").json()["number_of_nodes"] == 1
    assert cluster.ask(users.METRICS, "PUT", "/teal-forbidden").status_code == httpx.codes.FORBIDDEN


@ONE
def test_the_set_up_job_ends_well_and_what_it_wrote_is_there(cluster: Cluster) -> None:
    said = cluster.set_up()
    assert f"done: POST /_snapshot/{setup.REPOSITORY}/_verify" in said, said
    assert cluster.ask(users.SETUP, "GET", f"/_snapshot/{setup.REPOSITORY}").is_success
    (template,) = cluster.ask(users.SETUP, "GET", f"/_index_template/{setup.TEMPLATE}").json()["index_templates"]
    assert template["index_template"]["index_patterns"] == [setup.PATTERN]


@ONE
def test_a_snapshot_by_the_operators_user_holds_what_the_services_user_wrote(cluster: Cluster) -> None:
    assert cluster.ask(users.APP, "PUT", "/teal-kept/_doc/1?refresh=true", {"text": "lighthouse"}).is_success
    assert cluster.ask(users.APP, "PUT", "/other/_doc/1", {"text": "lighthouse"}).status_code == httpx.codes.FORBIDDEN
    path, wanted = f"/_snapshot/{setup.REPOSITORY}/first?wait_for_completion=true", {"indices": [setup.PATTERN]}
    taken = cluster.ask(users.OPERATOR, "PUT", path, {**wanted, "include_global_state": False}).json()["snapshot"]
    assert (taken["state"], taken["indices"]) == ("SUCCESS", ["teal-kept"])


@pytest.fixture(scope="module")
def service(cluster: Cluster, image: Path) -> Iterator[Service]:
    """Pods of the service that reach this Elasticsearch as on AWS: by HTTPS, the file of its authority, and the user of the service."""
    digest, who = cluster.node.load(image, color.repository()), cluster.secret(users.APP)
    search_user = {name: who[name] for name in ("username", "password")} | {"ca_certificate": cluster.secret(CA_SECRET)["ca.crt"]}
    settings = {"TEAL_ELASTICSEARCH_CA": f"{SECRETS_FOLDER}/{SEARCH_CA_FILE}", "TEAL_ELASTICSEARCH_REPLICAS": "1"}
    with (
        stores.beside(URL, search_user) as held,
        aws_server.start() as aws,
        secrets_driver.supplying(cluster.node, aws, held) as supply,
    ):
        yield serve(cluster.node, held, supply, digest, settings)


@pytest.fixture(scope="module")
def lighthouse(service: Service) -> str:
    with httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as client:
        add(client, "Lighthouse", "The lighthouse keeper writes the weather into a green book each morning.")
    return "Lighthouse"


@THREE
def test_three_pods_form_one_cluster_of_one_claim_each(cluster: Cluster) -> None:
    assert one_cluster(cluster) == 3
    claims = cluster.node.server.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims")["items"]
    bound = [each["metadata"]["name"] for each in claims if each["status"]["phase"] == "Bound"]
    assert [f"elasticsearch-data-{pod['metadata']['name']}" for pod in cluster.pods()] == [
        name for name in bound if "data" in name
    ]


@THREE
def test_a_document_gets_through_pods_of_the_service_that_verify_the_certificate(service: Service, lighthouse: str) -> None:
    with httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as client:
        answer = client.post("/v1/search", json={**SEARCH, "query": "who writes the weather down"})
        assert [hit["title"] for hit in answer.json()["hits"]] == [lighthouse], answer.text
        said = client.post("/v1/ask", json={"question": "Who writes the weather into a green book?", "stream": False})
        # With words alone, and one document, it is the nearest passage and no answer.
        assert [one["title"] for one in said.json()["nearest"]] == [lighthouse], said.text


@THREE
def test_the_platforms_network_policies_let_through_what_is_needed_and_nothing_else(cluster: Cluster, service: Service) -> None:
    running, (web, *_), (first, second, *_) = cluster.node, service.pods(), cluster.pods()
    (operator_pod,) = running.pods(operator.NAMESPACE)
    running.server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STRANGER}}, "administrator")
    stranger = pods.start(running, pods.manifest(STRANGER, "tried", {}))
    tried = {
        "a stranger's pod to Elasticsearch": (stranger, first, HTTP),
        "a stranger's pod between its nodes": (stranger, first, TRANSPORT),
        "a web pod between its nodes": (web, first, TRANSPORT),
        "the operator between its nodes": (operator_pod, first, TRANSPORT),
        "the operator to the service": (operator_pod, web, POD_PORT),
        "Elasticsearch to the service": (first, web, POD_PORT),
        "may: a web pod to Elasticsearch": (web, first, HTTP),
        "may: the operator to Elasticsearch": (operator_pod, first, HTTP),
        "may: Elasticsearch between its nodes": (second, first, TRANSPORT),
    }
    found = {
        what: policies.outcome_of_pod(running, one, other["status"]["podIP"], port) for what, (one, other, port) in tried.items()
    }
    print("\n".join(f"{how}: {what}" for what, how in found.items()))
    assert found == {what: "through" if what.startswith("may: ") else "dropped" for what in tried}


@THREE
def test_a_changed_setting_renews_the_pods_one_after_another_and_no_search_fails(
    cluster: Cluster, service: Service, lighthouse: str
) -> None:
    before, least = {pod["metadata"]["uid"] for pod in cluster.pods()}, 3
    with open_loop(f"{service.url}/v1/search", service.headers, SEARCH, per_second=PER_SECOND) as load:
        began = time.monotonic()
        cluster.apply(CHANGED)

        def renewed() -> bool:
            nonlocal least
            least = min(least, len([pod for pod in cluster.pods() if "True" in conditions(pod, "Ready")]))
            return not before & {pod["metadata"]["uid"] for pod in cluster.pods()} and cluster.healthy()

        await_true(renewed, "new pods", ROLLED_SECONDS)
        took = time.monotonic() - began
    print(
        f"3 pods renewed after {took:.0f} s; {load.sent} searches, {len(load.failed)} failed, slowest {max(load.milliseconds):.0f} ms"
    )
    assert load.failed == []
    assert least == 2


@THREE
def test_a_killed_pod_of_three_costs_no_search_and_comes_back(cluster: Cluster, service: Service, lighthouse: str) -> None:
    killed = cluster.pods()[0]
    with open_loop(f"{service.url}/v1/search", service.headers, SEARCH, per_second=PER_SECOND) as load:
        time.sleep(10)
        began = time.monotonic()
        pods.kill(cluster.node, killed)
        await_true(lambda: 0 < one_cluster(cluster) < 3, "Elasticsearch's own word that a node is gone", BACK_SECONDS)
        await_true(lambda: one_cluster(cluster) == 3 and cluster.healthy(), "the third node", BACK_SECONDS)
        took = time.monotonic() - began
    print(
        f"a killed pod is back after {took:.0f} s; {load.sent} searches, {len(load.failed)} failed, slowest {max(load.milliseconds):.0f} ms"
    )
    assert load.failed == []


@THREE
def test_when_the_elected_masters_machine_is_gone_the_others_go_on_without_it(
    cluster: Cluster, service: Service, lighthouse: str
) -> None:
    named = cluster.ask(users.METRICS, "GET", "/_cat/master?h=node").text.strip()
    running = {pod["metadata"]["name"]: pod for pod in cluster.pods()}
    master = running.pop(named)
    left = next(iter(running.values()))
    # A copy on each node, so that a search may need the master's.
    cluster.ask(users.APP, "PUT", "/teal*/_settings", {"index.number_of_replicas": 2}).raise_for_status()
    copied = cluster.ask(users.METRICS, "GET", "/_cluster/health?wait_for_status=green&timeout=50s").json()
    assert copied["status"] == "green"

    def nodes() -> int:
        answer = cluster.ask(users.METRICS, "GET", "/_cluster/health?local=true", pod=left)
        return int(answer.json()["number_of_nodes"]) if answer.is_success else 0

    with open_loop(f"{service.url}/v1/search", service.headers, SEARCH, per_second=PER_SECOND) as load:
        time.sleep(10)
        with pods.cut_off(cluster.node, master):
            began, sent = time.monotonic(), load.sent
            await_true(lambda: nodes() == 2, "two nodes without the third", BACK_SECONDS)
            noticed = time.monotonic() - began
            time.sleep(TIMEOUT_SECONDS)  # whoever waits for it has been answered
            whole, missed = load.sent - sent, len(load.failed)
            time.sleep(ALONE_SECONDS)
            after = load.failed[missed:]
        began = time.monotonic()
        await_true(lambda: one_cluster(cluster) == 3 and cluster.healthy(), "the third node", BACK_SECONDS)
        back = time.monotonic() - began
    print(
        f"the elected master's machine is gone: noticed after {noticed:.0f} s, {missed} of {whole} searches failed until then and "
        f"{TIMEOUT_SECONDS:.0f} s on, {len(after)} in the {ALONE_SECONDS:.0f} s after; back {back:.0f} s after its return"
    )
    assert after == []


def one_cluster(cluster: Cluster) -> int:
    """The number of its nodes, as whichever node answers knows it; 0 where none does."""
    try:
        answer = cluster.ask(users.METRICS, "GET", "/_cluster/health")
    except httpx.HTTPError:
        return 0
    return int(answer.json()["number_of_nodes"]) if answer.is_success else 0
