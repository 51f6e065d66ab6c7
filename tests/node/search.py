"""Where Elasticsearch is found: under the name that the product's settings hold, in the namespace and behind the network policies of the
platform. Its process has the network of a pod with the labels of ECK's pods; the Service is as ECK makes it, but without TLS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from infra.platform.search.resources import NAME, NAMESPACE, URL
from infra.platform.search.setup import REPOSITORY
from tests.node import color, pods
from tests.node.node import Node

LABELS: Final = {"common.k8s.elastic.co/type": "elasticsearch", "elasticsearch.k8s.elastic.co/cluster-name": NAME}
PORT: Final = 9200


@dataclass(frozen=True)
class Place:
    """`network`: the pod's, in which `address` is; `url`: what the service's pods are told."""

    network: Path
    address: str
    url: str

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Elasticsearch's answer, from the node's network. Raises httpx.HTTPStatusError."""
        answer = httpx.request(method, f"http://{self.address}:{PORT}{path}", json=body, timeout=30, trust_env=False)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def add_repository(self) -> None:
        """The snapshot repository that the platform's set-up Job adds, under its name. It is a folder: this Elasticsearch has no plugin for S3."""
        self.ask("PUT", f"/_snapshot/{REPOSITORY}?verify=true", {"type": "fs", "settings": {"location": REPOSITORY}})

    def forget_snapshot(self, name: str) -> None:
        self.ask("DELETE", f"/_snapshot/{REPOSITORY}/{name}")

    def snapshot(self, name: str) -> None:
        """The first one adds the repository."""
        self.add_repository()
        self.ask("PUT", f"/_snapshot/{REPOSITORY}/{name}?wait_for_completion=true", {})


def at_service(node: Node) -> Place:
    """The one that has been started, by its Service."""
    held = node.server.read(_service()) or {}
    return Place(Path(), held["spec"]["clusterIP"], URL.replace("https:", "http:"))


@contextmanager
def cut_off(node: Node, asking: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """Until the block ends, these pods are told that nobody listens where Elasticsearch does. Open connections are cut as well, which a Service
    without endpoints would leave."""
    (pod,) = node.pods(NAMESPACE, **LABELS)
    sources = ",".join(one["status"]["podIP"] for one in asking)
    place = ("--protocol", "tcp", "--source", sources, "--destination", pod["status"]["podIP"], "--dport", str(PORT))
    reset = ("FORWARD", *place, "--jump", "REJECT", "--reject-with", "tcp-reset")
    with node.machine.rule(*reset):
        yield


def start(node: Node) -> Place:
    """The namespace, its policies, the Service and the pod; Elasticsearch itself is one of the stores."""
    for document in (*color.closed(NAMESPACE), _service()):
        node.server.apply(document, "administrator")
    pod = pods.start(node, pods.manifest(NAMESPACE, f"{NAME}-es-default-0", LABELS))
    return Place(pods.network(node, pod), pod["status"]["podIP"], URL.replace("https:", "http:"))


def _service() -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": f"{NAME}-es-http", "namespace": NAMESPACE},
        "spec": {"selector": LABELS, "ports": [{"name": "http", "port": PORT, "protocol": "TCP", "targetPort": PORT}]},
    }  # fmt: skip
