"""KEDA's operator and its metrics API, built from KEDA's module, as processes beside an API server. Only in a network of their own (apart.py).

The operator makes the certificates, writes the authority into the definition of the metrics API, as in a cluster, and ends when they are new.
In the place of kubelet `start` brings them to a folder and starts the operator again.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from infra.platform.cluster import autoscaling
from tests.cluster import apiserver
from tests.cluster.apiserver import ApiServer
from tests.services.go_tools import tool

PROGRAMS: Final = ("keda-operator", "keda-adapter")
NAMESPACE: Final = "keda"
METRICS_ADDRESS: Final = "10.254.0.77"  # the metrics API's, in the API server's range of Services
_METRICS: Final = "keda-metrics-apiserver"  # both names are the programs' own defaults
_OPERATOR: Final = "keda-operator"
_GRPC_PORT: Final = 9666
_CERTIFICATES: Final = ("ca.crt", "tls.crt", "tls.key")


@contextmanager
def start(server: ApiServer, folder: Path, kubeconfig: Path, watched: str, variables: Mapping[str, str]) -> Iterator[None]:
    """Both programs, until the end of the block. `watched`: the namespaces. `variables`: the operator's, besides its own."""
    certificates = folder / "certificates-of-keda"
    certificates.mkdir()
    for one in _objects():
        server.apply(one, "keda")
    shared = {**os.environ, "KUBECONFIG": str(kubeconfig), "WATCH_NAMESPACE": watched, "POD_NAMESPACE": NAMESPACE,
              "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE}  # fmt: skip
    restricted = autoscaling.chart_values([watched])["permissions"]["operator"]["restrict"]["secret"]
    own = {"KEDA_RESTRICT_SECRET_ACCESS": str(restricted).lower(), **variables}  # as the chart says it
    operator = [
        "env", *(f"{name}={value}" for name, value in {**shared, **own}.items()), str(tool(PROGRAMS[0])),
        "--metrics-bind-address=127.0.0.1:8080", "--health-probe-bind-address=127.0.0.1:8081",
        f"--metrics-service-bind-address=127.0.0.1:{_GRPC_PORT}", f"--cert-dir={certificates}", "--enable-cert-rotation",
        "--enable-webhook-patching=false", "--zap-log-level=info", "--zap-encoder=console",
    ]  # fmt: skip
    with apiserver.process(folder / "keda-operator-first.log", operator) as first:
        server.wait(lambda: first.poll() is not None, "the end of KEDA's operator, which has made its certificates")
    _bring(server, certificates)
    with ExitStack() as running:
        running.enter_context(apiserver.process(folder / "keda-operator.log", operator))
        running.enter_context(apiserver.process(folder / "keda-adapter.log", [
            "env", *(f"{name}={value}" for name, value in shared.items()), str(tool(PROGRAMS[1])),
            f"--bind-address={METRICS_ADDRESS}", "--secure-port=443", "--port=8088", f"--cert-dir={certificates}",
            f"--tls-cert-file={certificates / 'tls.crt'}", f"--tls-private-key-file={certificates / 'tls.key'}",
            f"--metrics-service-address=127.0.0.1:{_GRPC_PORT}", f"--metrics-service-grpc-authority={_OPERATOR}.{NAMESPACE}.svc",
            f"--kubeconfig={kubeconfig}", f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}",
            f"--lister-kubeconfig={kubeconfig}", "--zap-encoder=console",
        ]))  # fmt: skip
        server.wait(lambda: _available(server), "KEDA's metrics API")
        yield


def _bring(server: ApiServer, folder: Path) -> None:
    """The certificates that the operator makes, as kubelet brings them."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kedaorg-certs", "namespace": NAMESPACE}}

    def made() -> bool:
        data = (server.read(secret) or {}).get("data", {})
        if not all(name in data for name in _CERTIFICATES):
            return False
        for name in _CERTIFICATES:
            (folder / name).write_bytes(base64.b64decode(data[name]))
        return True

    server.wait(made, "KEDA's certificates")


def _available(server: ApiServer) -> bool:
    found = server.ask("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io")
    return "True" in apiserver.conditions(found, "Available")


def _objects() -> Iterator[dict[str, Any]]:
    """What its chart would make and the two programs need here: KEDA's users are the administrator."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kedaorg-certs", "namespace": NAMESPACE}}
    port: dict[str, Any] = {"name": "https", "port": 443, "protocol": "TCP"}
    yield {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": _METRICS, "namespace": NAMESPACE},
        "spec": {"clusterIP": METRICS_ADDRESS, "ports": [{**port, "targetPort": 443}]},
    }  # fmt: skip
    yield {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [port],
        "metadata": {"name": _METRICS, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": _METRICS}},
        "endpoints": [{"addresses": ["192.0.2.7"], "conditions": {"ready": True}}],  # only counted: calls go to the Service's address
    }  # fmt: skip
    yield {
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
        "spec": {
            "group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"name": _METRICS, "namespace": NAMESPACE, "port": 443},
        },
    }  # fmt: skip
