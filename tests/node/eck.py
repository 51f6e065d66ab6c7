"""ECK's own operator on the node, in a pod of its own chart: built from the module whose version the platform names, installed with the
platform's own values, in the platform's namespaces. Only the image is ours: the program alone, under the name that the chart gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from infra.platform.search import operator
from infra.platform.search.resources import NAME, NAMESPACE
from tests.cluster.objects import objects
from tests.node import images
from tests.node.node import Node, await_true
from tests.services import eck_chart
from tests.services.go_tools import tool
from tests.unit.infra.conftest import Stack

STACKS: Final[Sequence[Stack]] = ("dev", "staging", "prod")
_ADDRESSES: Final[Stack] = "dev"
OPERATOR: Final = "elastic-operator"  # the chart's name for all that it makes
CUSTOM: Final = ("Elasticsearch", "Kibana")
INSTALL_SECONDS: Final = 180.0  # 15 s alone on two cores
_HELM: Final = "helm"


def require_operator() -> None:
    """Build what is missing, in this machine's own network."""
    tool("eck-operator")
    tool("chart")
    eck_chart.folder()


def install(node: Node, stack: Stack = "dev") -> None:
    """The platform's namespaces with all that is in them but custom resources, then the chart; until the operator's pod is ready."""
    rendered = eck_chart.chart(stack)
    archive = node.machine.folder / "operator.tar"
    images.write_program(archive, rendered.image, tool("eck-operator"), ["manager"])
    node.load(archive)
    archive.unlink()
    for document in platform_objects(stack):
        if document["kind"] not in (*CUSTOM, "Job"):
            node.server.apply(document, "administrator")
    node.server.define(rendered.definitions)
    for document in rendered.rest:
        node.server.apply(document, _HELM)
    await_true(lambda: ready(node, "StatefulSet", OPERATOR, operator.NAMESPACE), f"StatefulSet {OPERATOR}", INSTALL_SECONDS)


def platform_objects(stack: Stack) -> list[dict[str, Any]]:
    """All that the platform puts into the operator's and into search's namespace, both included, and the class of their disks. The network
    policies are dev's for every stack: each names the addresses of its own VPC, and the node has dev's."""
    ours = (NAMESPACE, operator.NAMESPACE)
    return [
        one
        for of, policies in ((stack, False), (_ADDRESSES, True))
        for one in objects("platform", of)
        if (one["metadata"].get("namespace", one["metadata"]["name"]) in ours or one["kind"] == "StorageClass")
        and (one["kind"] == "NetworkPolicy") is policies
    ]


def custom(stack: Stack) -> dict[str, dict[str, Any]]:
    """The platform's Elasticsearch and Kibana, by kind."""
    return {one["kind"]: one for one in platform_objects(stack) if one["kind"] in CUSTOM}


def read(node: Node, kind: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any] | None:
    """An object, or None where there is none."""
    return node.server.read({"apiVersion": _API[kind], "kind": kind, "metadata": {"name": name, "namespace": namespace}})


def ready(node: Node, kind: str, name: str, namespace: str = NAMESPACE) -> bool:
    """Whether all of its pods are."""
    found: Mapping[str, Any] = read(node, kind, name, namespace) or {}
    return bool(found) and found.get("status", {}).get("readyReplicas", 0) == found["spec"]["replicas"]


def remove(node: Node, stack: Stack) -> None:
    """The platform's Elasticsearch, and Kibana where it is, and wait until the operator's objects, pods and claims are gone with them: other
    tests have some of the same names."""
    for document in custom(stack).values():
        if node.server.read(document):
            node.server.ask("DELETE", node.server.path(document))
    for kind, name in (("StatefulSet", f"{NAME}-es-default"), ("Service", f"{NAME}-es-http")):
        await_true(lambda kind=kind, name=name: read(node, kind, name) is None, f"{kind} {name} gone", INSTALL_SECONDS)
    pods, ours = f"/api/v1/namespaces/{NAMESPACE}/pods", {"labelSelector": f"elasticsearch.k8s.elastic.co/cluster-name={NAME}"}
    await_true(lambda: not node.server.ask("GET", pods, params=ours)["items"], "Elasticsearch's pods gone", INSTALL_SECONDS)
    claims = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"
    node.server.ask("DELETE", claims)  # the operator keeps them, and the next may be larger
    await_true(lambda: not node.server.ask("GET", claims)["items"], "Elasticsearch's claims gone", INSTALL_SECONDS)


def uninstall(node: Node) -> None:
    """What runs of the chart; the tests after these have an Elasticsearch of their own."""
    for document in eck_chart.chart().rest:
        if document["kind"] in ("StatefulSet", "ValidatingWebhookConfiguration"):
            node.server.ask("DELETE", node.server.path(document))


def operator_log(root: Path) -> str:
    """What the operator's pod said, where containerd keeps it."""
    found = sorted(root.glob(f"var/log/pods/{operator.NAMESPACE}_*/*/*.log"))
    return "\n".join(path.read_text(errors="replace")[-6000:] for path in found)


_API: Final = {
    **dict.fromkeys(("Service", "Secret", "Pod", "ConfigMap"), "v1"),
    "StatefulSet": "apps/v1", "Deployment": "apps/v1", "PodDisruptionBudget": "policy/v1",
    "Elasticsearch": "elasticsearch.k8s.elastic.co/v1", "Kibana": "kibana.k8s.elastic.co/v1",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
}  # fmt: skip
