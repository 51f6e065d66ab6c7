"""Elasticsearch of the platform in pods that ECK's own operator makes, of an image of the tests': `make test-node ARGS="-m weekly"`.

What is changed of the platform's objects, and why, is the table of elasticsearch_pods.py. `GET /` and `_nodes/shutdown` are answered by a
stand-in plugin of the tests', because Maven's zip has neither. Disks are folders of the node; network policies are not enforced.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.platform.search import setup, users
from infra.platform.search.resources import NAMESPACE
from tests.node import eck, node
from tests.node.elasticsearch_pods import Cluster, prepare
from tests.node.node import Node
from tests.services import elasticsearch_image
from tests.services.required import require
from tests.unit.infra.conftest import Stack

pytestmark = [pytest.mark.integration, pytest.mark.weekly]


@pytest.fixture(scope="module")
def with_operator(image: Path) -> Iterator[Node]:
    """A node of its own: other tests put an Elasticsearch under the same names."""
    require("javac", "apt-get install openjdk-17-jdk-headless.", shutil.which("javac") is not None)
    require("mmdebstrap", "apt-get install mmdebstrap.", shutil.which("mmdebstrap") is not None)
    require("gcc", "apt-get install gcc libc6-dev.", not elasticsearch_image.FEW_FILES or shutil.which("gcc") is not None)
    archive = elasticsearch_image.build()
    with node.start() as started:
        started.load(archive)
        eck.install(started, "staging")
        yield started


@pytest.fixture(scope="module")
def one(with_operator: Node) -> Iterator[Cluster]:
    """The stack dev: one pod."""
    yield from _running(with_operator, "dev")


@pytest.fixture(scope="module")
def three(with_operator: Node) -> Iterator[Cluster]:
    """The stack staging: three pods."""
    yield from _running(with_operator, "staging")


def _running(on: Node, stack: Stack) -> Iterator[Cluster]:
    for document in eck.platform_objects(stack):
        if document["kind"] in ("Secret", "ServiceAccount"):
            on.server.apply(document, "administrator")
    prepare(on, stack)
    cluster = Cluster(on, stack)
    cluster.apply()
    took = cluster.await_healthy()
    print(f"{stack}: {len(cluster.pods())} pods, ready and green after {took:.0f} s")
    yield cluster
    eck.remove(on, stack)


def test_the_pod_of_dev_gets_ready_with_the_operators_certificate_and_the_platforms_users(one: Cluster) -> None:
    said = one.ask(users.METRICS, "GET", "/").json()
    assert said["version"]["number"] == elasticsearch_image.NAME.rpartition(":")[2]
    assert one.ask(users.METRICS, "GET", "/_cluster/health").json()["number_of_nodes"] == 1
    assert one.ask(users.METRICS, "PUT", "/teal-forbidden").status_code == httpx.codes.FORBIDDEN


def test_the_set_up_job_ends_well_and_what_it_wrote_is_there(one: Cluster) -> None:
    said = one.set_up()
    assert f"done: POST /_snapshot/{setup.REPOSITORY}/_verify" in said, said
    assert one.ask(users.SETUP, "GET", f"/_snapshot/{setup.REPOSITORY}").is_success
    (template,) = one.ask(users.SETUP, "GET", f"/_index_template/{setup.TEMPLATE}").json()["index_templates"]
    assert template["index_template"]["index_patterns"] == [setup.PATTERN]


def test_a_snapshot_by_the_operators_user_holds_what_the_services_user_wrote(one: Cluster) -> None:
    assert one.ask(users.APP, "PUT", "/teal-kept/_doc/1?refresh=true", {"text": "lighthouse"}).is_success
    assert one.ask(users.APP, "PUT", "/other/_doc/1", {"text": "lighthouse"}).status_code == httpx.codes.FORBIDDEN
    path = f"/_snapshot/{setup.REPOSITORY}/first?wait_for_completion=true"
    taken = one.ask(users.OPERATOR, "PUT", path, {"indices": [setup.PATTERN], "include_global_state": False}).json()["snapshot"]
    assert (taken["state"], taken["indices"]) == ("SUCCESS", ["teal-kept"])


def test_three_pods_form_one_cluster_of_one_claim_each(three: Cluster) -> None:
    assert one_cluster(three) == 3
    claims = three.node.server.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims")["items"]
    bound = [each["metadata"]["name"] for each in claims if each["status"]["phase"] == "Bound"]
    assert [f"elasticsearch-data-{pod['metadata']['name']}" for pod in three.pods()] == [name for name in bound if "data" in name]


def one_cluster(cluster: Cluster) -> int:
    """The number of its nodes, as whichever node answers knows it; 0 where none does."""
    try:
        answer = cluster.ask(users.METRICS, "GET", "/_cluster/health")
    except httpx.HTTPError:
        return 0
    return int(answer.json()["number_of_nodes"]) if answer.is_success else 0
