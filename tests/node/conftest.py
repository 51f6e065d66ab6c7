"""A real node, and one color of the service on it in pods of the real image: `make test-node`."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from contract.http import POD_PORT
from contract.names import DEPLOYMENT, WORKERS
from contract.pods import COLOR_LABEL, COMPONENT_LABEL
from teal.aws.jobs import run_admin_job
from teal.aws.kubernetes import KubernetesClient
from teal.aws.pod_reasons import pod_reasons
from tests.cluster.apiserver import TOKEN, conditions
from tests.cluster.conftest import RELEASE
from tests.node import (
    color,
    eck,
    elasticsearch_pods,
    machine,
    node,
    policies,
    prometheus,
    reporters,
    search,
    secrets_driver,
    stores,
)
from tests.node.node import Node, await_true
from tests.node.secrets_driver import Supply
from tests.parts.app.service import add
from tests.services import app_image, aws_server, load_image
from tests.services.go_tools import tool

FIRST: Final = "r-20261129-1"
REPLICAS: Final = 2
SNAPSHOT: Final = "first"
LIMIT_SECONDS: Final = 1_800  # of a test; the first one builds what is missing
ROTATION_SECONDS: Final = 10  # the driver asks no sooner for a newer value; kubelet asks the driver about once in 75 s
ROLLOUT_SECONDS: Final = 300.0  # 25 s for two pods alone on two cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.node)
            item.add_marker(pytest.mark.timeout(LIMIT_SECONDS))


@dataclass
class Service:
    """The color's pods, whose secrets are `supply`'s. `url`: its Service, as a pod of the cluster sees it; `key`: an administrator's."""

    node: Node
    stores: stores.Stores
    supply: Supply
    digest: str
    cluster: KubernetesClient
    key: str
    url: str
    ready_seconds: float

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def release(self, release_id: str, floor: int, more: Mapping[str, str] | None = None) -> None:
        """Apply, with a release's rights, what the service program makes of this release; `more`: further settings."""
        for document in color.service_objects(color.record(self.stores, self.digest, release_id, floor, more)):
            self.node.server.apply(document, "pulumi", RELEASE)

    def await_rollout(self, replicas: int) -> float:
        """Until the Deployment has so many pods, all of its newest template, ready, and no other; seconds it took."""
        began = time.monotonic()
        try:
            await_true(lambda: self._rolled_out(replicas), f"Deployment {color.NAMESPACE}/{DEPLOYMENT}", ROLLOUT_SECONDS)
        except TimeoutError as error:
            reasons = pod_reasons(self.cluster, color.NAMESPACE, self.pods())
            raise AssertionError(f"{error}: {reasons}") from error
        return time.monotonic() - began

    def pods(self) -> list[dict[str, Any]]:
        """The web pods that are not being ended."""
        return self.node.pods(color.NAMESPACE, **{COLOR_LABEL: color.COLOR, COMPONENT_LABEL: "app"})

    def end(self, pod: dict[str, Any]) -> float:
        """Delete a pod, with the grace that it has, and wait until as many as before are ready; seconds it took."""
        began, before = time.monotonic(), len(self.pods())
        self.node.server.ask("DELETE", f"/api/v1/namespaces/{color.NAMESPACE}/pods/{pod['metadata']['name']}")
        await_true(lambda: sum("True" in conditions(each, "Ready") for each in self.pods()) == before, "pods", ROLLOUT_SECONDS)
        return time.monotonic() - began

    def _rolled_out(self, replicas: int) -> bool:
        found = self.cluster.deployment(color.NAMESPACE, DEPLOYMENT) or {}
        status = found.get("status", {})
        counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
        return status.get("observedGeneration") == found["metadata"]["generation"] and counts == {replicas}


def _build_load_test() -> None:
    for name in (policies.NAME, prometheus.NAME):
        tool(name)
    load_image.build()


def _build_search() -> None:
    tool(policies.NAME)
    eck.require_operator()
    elasticsearch_pods.build_image()


def _build_observed() -> None:
    tool(prometheus.NAME)
    reporters.build()


# By the fixture that needs it.
_BUILDS: Final[Mapping[str, Callable[[], object]]] = {
    "tries": lambda: tool(policies.NAME),
    "with_operator": eck.require_operator,
    "search_node": _build_search,
    "load_test": _build_load_test,
    "observed": _build_observed,
}


@pytest.fixture(scope="package")
def image(request: pytest.FixtureRequest) -> Path:
    """The service's image; everything is built before anything is in another network."""
    machine.require_machine()
    stores.require_stores()
    color.definitions()
    secrets_driver.require_driver()
    built = app_image.build()
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in wanted & _BUILDS.keys():
        _BUILDS[name]()
    return built


@pytest.fixture(scope="package")
def running_node(image: Path) -> Iterator[Node]:
    with node.start() as started:
        yield started


@pytest.fixture(scope="package")
def service(running_node: Node, image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """In the restricted namespace that the platform makes; the schema migrated by a Job, as a release does."""
    place = search.start(running_node)
    with ThreadPoolExecutor(1) as beside:
        loading = beside.submit(running_node.load, image, color.repository())  # while Elasticsearch boots
        with (
            stores.start(tmp_path_factory.mktemp("stores"), place) as held,
            aws_server.start() as aws,
            secrets_driver.supplying(running_node, aws, held, ROTATION_SECONDS) as supply,
        ):
            yield serve(running_node, held, supply, loading.result())


def serve(running: Node, held: stores.Stores, supply: Supply, digest: str, more: Mapping[str, str] | None = None) -> Service:
    """Two web pods and a worker, ready, on a migrated schema. `more`: further settings."""
    server = running.server
    server.define(color.definitions())
    for document in color.platform_objects():
        server.apply(supply.secrets.addressed(document), "administrator")
    cluster = KubernetesClient(_client(server.url, server.ca), "tests")
    entry = color.record(held, digest, FIRST, REPLICAS, more)

    def admin(*arguments: str) -> list[dict[str, Any]]:
        return run_admin_job(cluster, color.COLOR, color.state(entry), color.job_settings(), arguments)

    admin("migrate")
    key = str(admin("keys", "create", "--role", "admin", "--name", "node")[0]["key"])
    made = Service(running, held, supply, digest, cluster, key, "", 0.0)
    made.release(FIRST, REPLICAS, more)
    made.ready_seconds = made.await_rollout(REPLICAS)
    await_true(lambda: _worker_ready(running), f"StatefulSet {color.NAMESPACE}/{WORKERS}", ROLLOUT_SECONDS)
    found = server.ask("GET", f"/api/v1/namespaces/{color.NAMESPACE}/services/{DEPLOYMENT}")
    made.url = f"http://{found['spec']['clusterIP']}:{POD_PORT}"
    return made


@pytest.fixture(scope="package")
def lighthouse(service: Service) -> str:
    """The title of a document that the worker's pod has put into the index."""
    with httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as client:
        add(client, "Lighthouse", "The lighthouse keeper writes the weather into a green book each morning.")
    return "Lighthouse"


@pytest.fixture(scope="package")
def observed(service: Service, lighthouse: str) -> Service:
    """The service, beside all that reports of the cluster and of search, and its only snapshot."""
    reporters.start(service.node)
    search.at_service(service.node).snapshot(SNAPSHOT)
    return service


def _worker_ready(running: Node) -> bool:
    found = running.server.ask("GET", f"/apis/apps/v1/namespaces/{color.NAMESPACE}/statefulsets/{WORKERS}")
    return bool(found.get("status", {}).get("readyReplicas"))


def _client(url: str, ca: Path) -> httpx.Client:
    """With the rights of a release."""
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Impersonate-User", RELEASE.user)]
    headers += [("Impersonate-Group", group) for group in RELEASE.groups]
    return httpx.Client(base_url=url, verify=ssl.create_default_context(cafile=str(ca)), headers=headers, timeout=30)
