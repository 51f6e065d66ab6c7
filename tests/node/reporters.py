"""Who reports besides the service, each built from its own Go module: kube-state-metrics, which on AWS is an add-on of EKS, and Elasticsearch's
exporter, which is the platform's own Deployment. Changed: the exporter asks without TLS, because Elasticsearch here has none."""

from __future__ import annotations

import json
from typing import Any, Final

from infra.platform.cluster.addons import STATE_METRICS
from infra.platform.search import exporter, users
from infra.platform.search.resources import CA_SECRET, NAMESPACE
from tests.cluster.objects import as_sent, objects
from tests.node import images, pods
from tests.node.color import STACK
from tests.node.node import Node, await_true
from tests.services.go_tools import tool

EXPORTER: Final = "elasticsearch-exporter"
START_SECONDS: Final = 120.0  # 5 s alone
_IMAGE: Final = f"teal.test/{STATE_METRICS}:1"
_PORT: Final = 8080  # the program's own
# What it is asked for here, and may list: the kinds that the platform's collector keeps series of (infra/observability/prometheus.py).
_KINDS: Final = {"": ("pods", "nodes", "secrets"), "apps": ("deployments", "statefulsets")}


def build() -> None:
    """What is missing, in this machine's own network."""
    for name in (STATE_METRICS, EXPORTER):
        tool(name)


def start(node: Node) -> None:
    """Both, until their pods are ready."""
    _start_state_metrics(node)
    _start_exporter(node)


def _start_state_metrics(node: Node) -> None:
    _load(node, _IMAGE, STATE_METRICS)
    server, api = node.server, "rbac.authorization.k8s.io/v1"
    rules = [{"apiGroups": [group], "resources": list(kinds), "verbs": ["list", "watch"]} for group, kinds in _KINDS.items()]
    role = {"apiGroup": api.partition("/")[0], "kind": "ClusterRole", "name": STATE_METRICS}
    account = {"kind": "ServiceAccount", "name": "default", "namespace": STATE_METRICS}
    for document in (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STATE_METRICS}},
        {"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": STATE_METRICS}, "rules": rules},
        {
            "apiVersion": api,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": STATE_METRICS},
            "roleRef": role,
            "subjects": [account],
        },
    ):
        server.apply(document, "tests")
    made = pods.manifest(STATE_METRICS, STATE_METRICS, {"app.kubernetes.io/name": STATE_METRICS}, _IMAGE)
    kinds = ",".join(kind for found in _KINDS.values() for kind in found)
    made["spec"]["automountServiceAccountToken"] = True
    made["spec"]["containers"][0] |= {
        "args": [f"--resources={kinds}"], "ports": [{"name": "metrics", "containerPort": _PORT, "protocol": "TCP"}],
    }  # fmt: skip
    pods.start(node, made)


def _start_exporter(node: Node) -> None:
    _load(node, exporter.IMAGE, EXPORTER)
    (document,) = [
        one for one in objects("platform", STACK) if one["kind"] == "Deployment" and one["metadata"]["namespace"] == NAMESPACE
    ]
    without_tls: dict[str, Any] = json.loads(json.dumps(document).replace("--es.uri=https:", "--es.uri=http:"))
    for name, values in (
        (users.METRICS, {"username": users.METRICS, "password": "of-these-tests"}),  # pragma: allowlist secret
        (CA_SECRET, {"ca.crt": node.server.ca.read_text()}),
    ):
        metadata = {"name": name, "namespace": NAMESPACE}
        node.server.apply(as_sent({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}), "tests")
    node.server.apply(without_tls, "tests")
    await_true(lambda: _ready(node, document), f"Deployment {NAMESPACE}/{exporter.NAME}", START_SECONDS)


def _load(node: Node, image: str, program: str) -> None:
    archive = node.machine.folder / "reporter.tar"
    images.write_program(archive, image, tool(program))
    node.load(archive)
    archive.unlink()


def _ready(node: Node, document: dict[str, Any]) -> bool:
    return bool((node.server.read(document) or {}).get("status", {}).get("readyReplicas"))
