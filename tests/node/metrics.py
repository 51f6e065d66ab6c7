"""metrics-server on the node, as a program beside kubelet: it asks kubelets for the CPU and memory of their pods, and answers for
`metrics.k8s.io` behind the API server, where an autoscaler and `kubectl top` read. On AWS it is an add-on of EKS.

| as in its own manifests | otherwise |
|---|---|
| rights of an account of its own, the arguments, the definition of the API, the Service | 10 s between two looks in the place of 15; no pod, as CoreDNS here; kubelet's certificate is its own |
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from tests.cluster.apiserver import ApiServer, Refused
from tests.node.node import Node, await_true, kubeconfig, process
from tests.services.go_tools import tool

NAME: Final = "metrics-server"
RESOLUTION_SECONDS: Final = 10  # the least that it takes
_NAMESPACE: Final = "kube-system"
_API: Final = "metrics.k8s.io"
NODES: Final = f"/apis/{_API}/v1beta1/nodes"
_PORT: Final = 4443
_READY_SECONDS: Final = 120.0  # two looks at kubelet, and the API server's own, 30 s apart
_TOKEN_SECONDS: Final = 7200
_RBAC: Final = "rbac.authorization.k8s.io"


@contextmanager
def serving(node: Node) -> Iterator[None]:
    """Until the end of the block, and from the moment at which it has the node's own numbers."""
    with ExitStack() as running:
        server = node.server
        for document in _objects(node.machine.address):
            server.apply(document, NAME)
        own = server.token(_NAMESPACE, NAME, _TOKEN_SECONDS)  # its rights are those of its manifests
        account = str(kubeconfig(node.machine.folder, server, f"{NAME}.kubeconfig", own))
        process(node.machine, NAME, [
            str(tool(NAME)), "--secure-port", str(_PORT), "--bind-address", node.machine.address, "--cert-dir", f"{node.machine.folder}/{NAME}",
            "--kubelet-preferred-address-types=InternalIP", "--kubelet-use-node-status-port", "--kubelet-insecure-tls",
            f"--metric-resolution={RESOLUTION_SECONDS}s", f"--kubelet-request-timeout={RESOLUTION_SECONDS - 2}s",
            "--kubeconfig", account, "--authentication-kubeconfig", account, "--authorization-kubeconfig", account,
        ], running)  # fmt: skip
        try:
            await_true(lambda: _usage(node, "nodes"), NAME, _READY_SECONDS)
        except TimeoutError as error:
            said = (node.machine.folder / f"{NAME}.log").read_text(errors="replace")[-2500:]
            raise RuntimeError(f"{error}; {said}") from error
        running.callback(_forget, server)
        yield


def pods_millicores(node: Node, namespace: str) -> dict[str, float]:
    """What `kubectl top pods` says of CPU, by the pod's name; without those of which there is no number yet."""
    return {
        name: sum(millicores(each["usage"]["cpu"]) for each in found["containers"])
        for name, found in _usage(node, f"namespaces/{namespace}/pods").items()
    }


def millicores(quantity: str) -> float:
    """Of Kubernetes' text for an amount of CPU."""
    units = {"n": 1e-6, "u": 1e-3, "m": 1.0}
    return float(quantity[:-1]) * units[quantity[-1]] if quantity[-1] in units else float(quantity) * 1000


def _forget(server: ApiServer) -> None:
    """An API that nobody answers for would keep namespaces from ending."""
    server.ask("DELETE", f"/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.{_API}")


def _usage(node: Node, path: str) -> dict[str, dict[str, Any]]:
    """Rows of the API by name; none while nobody answers."""
    try:
        found = node.server.ask("GET", f"/apis/{_API}/v1beta1/{path}")["items"]
    except Refused as refused:
        if refused.code not in (404, 503):
            raise
        return {}
    return {row["metadata"]["name"]: row for row in found}


def _objects(address: str) -> Iterator[dict[str, Any]]:
    """Account, rights, Service with the node's address behind it, and the definition of the API."""
    here = {"name": NAME, "namespace": _NAMESPACE}
    subjects = [{"kind": "ServiceAccount", **here}]
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": here}
    yield {
        "apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "system:metrics-server"},
        "rules": [
            {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
        ],
    }  # fmt: skip
    for name, role in ((NAME, "system:metrics-server"), (f"{NAME}:system:auth-delegator", "system:auth-delegator")):
        yield {
            "apiVersion": f"{_RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}, "subjects": subjects,
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        }  # fmt: skip
    yield {
        "apiVersion": f"{_RBAC}/v1", "kind": "RoleBinding", "metadata": {"name": f"{NAME}-auth-reader", "namespace": _NAMESPACE},
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": "extension-apiserver-authentication-reader"}, "subjects": subjects,
    }  # fmt: skip
    port: dict[str, Any] = {"name": "https", "protocol": "TCP"}
    yield {
        "apiVersion": "v1", "kind": "Service", "metadata": here, "spec": {"ports": [{**port, "port": 443, "targetPort": _PORT}]},
    }  # fmt: skip
    yield {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{**port, "port": _PORT}],
        "metadata": {"name": f"{NAME}-node", "namespace": _NAMESPACE, "labels": {"kubernetes.io/service-name": NAME}},
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }  # fmt: skip
    yield {
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"v1beta1.{_API}"},
        "spec": {
            "group": _API, "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": True,
            "service": {**here, "port": 443},
        },
    }  # fmt: skip
