"""metrics-server, of which an autoscaler asks how much CPU its pods use: a program of the node's, behind the API server as in a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from tests.cluster.apiserver import Refused
from tests.node.machine import ADDRESS
from tests.node.node import Node, await_true, conditions, process
from tests.services.go_tools import tool

NAME: Final = "metrics-server"
RESOLUTION_SECONDS: Final = 15  # as its own manifests and EKS's add-on have it; it takes 10 at least
_PORT: Final = 4443
_NAMESPACE: Final = "kube-system"
_READY_SECONDS: Final = 120.0  # two rounds of asking, and its start
_PORTS: Final = {"name": "https", "protocol": "TCP"}


@contextmanager
def serving(node: Node) -> Iterator[None]:
    """Until the block ends; from its begin the use of every pod is known that has run for two rounds."""
    kubeconfig = f"{node.machine.folder}/kubeconfig"
    command = [
        str(tool(NAME)), "--kubeconfig", kubeconfig, "--authentication-kubeconfig", kubeconfig, "--authorization-kubeconfig", kubeconfig,
        "--bind-address", ADDRESS, "--secure-port", str(_PORT), "--cert-dir", f"{node.machine.folder}/{NAME}",
        "--kubelet-preferred-address-types", "InternalIP", "--metric-resolution", f"{RESOLUTION_SECONDS}s",
        "--kubelet-insecure-tls",  # kubelet's certificate is of its own making
    ]  # fmt: skip
    with ExitStack() as running:
        process(node.machine, NAME, command, running)
        for document in _objects():
            node.server.apply(document, "cluster")
            running.callback(node.server.ask, "DELETE", node.server.path(document))
        api = _objects()[-1]
        await_true(lambda: "True" in conditions(node.server.read(api) or {}, "Available"), NAME, _READY_SECONDS)
        await_true(lambda: used_millicores(node), "what pods use", _READY_SECONDS)
        yield


def used_millicores(node: Node, namespace: str = "") -> dict[str, int]:
    """CPU by name of pod, as metrics-server says it."""
    where = f"/namespaces/{namespace}" if namespace else ""
    try:
        found = node.server.ask("GET", f"/apis/metrics.k8s.io/v1beta1{where}/pods")["items"]
    except Refused:
        return {}  # it has no measurement yet
    return {each["metadata"]["name"]: sum(_millicores(one["usage"]["cpu"]) for one in each["containers"]) for each in found}


def _millicores(quantity: str) -> int:
    units = {"n": 1_000_000, "u": 1_000, "m": 1}
    return int(quantity[:-1]) // units[quantity[-1]] if quantity[-1] in units else int(quantity) * 1_000


def _objects() -> list[dict[str, Any]]:
    """The Service, whose one address is the node's, and what leads the API server to it."""
    return [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME, "namespace": _NAMESPACE},
            "spec": {"ports": [{**_PORTS, "port": 443}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{**_PORTS, "port": _PORT}],
            "metadata": {"name": f"{NAME}-node", "namespace": _NAMESPACE, "labels": {"kubernetes.io/service-name": NAME}},
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
                "insecureSkipTLSVerify": True,  # as its own manifests have it
                "service": {"name": NAME, "namespace": _NAMESPACE, "port": 443},
            },
        },
    ]  # fmt: skip
