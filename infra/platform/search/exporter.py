"""Exports Elasticsearch's health as Prometheus metrics: one small pod with its own Elasticsearch user.
No alert about search can fire without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import apps, networking

from contract import scrape
from infra.platform.cluster import restricted
from infra.platform.search import users
from infra.platform.search.resources import CA_SECRET, NAMESPACE, URL

NAME: Final = "metrics"
PORT: Final = 9114
# Flags and metric names: README.md of Go module github.com/prometheus-community/elasticsearch_exporter v1.9.0. Its digest could not be
# read where this was written, and its image was never run here.
IMAGE: Final = "quay.io/prometheuscommunity/elasticsearch-exporter:v1.9.0"
_USER: Final = 65_534  # `nobody`, the image's own
_LABELS: Final = {scrape.NAME_LABEL: scrape.SEARCH_REPORTER, "app.kubernetes.io/part-of": "teal"}


@dataclass(frozen=True)
class SearchExporterArgs:
    """`cidr`: the VPC's, in which the collector has addresses. `cluster`: resources that must exist first."""

    cidr: str
    provider: pulumi.ProviderResource
    cluster: list[pulumi.Resource]


class SearchExporter(pulumi.ComponentResource):
    """Heap, disk, shards and the time of the last snapshot, at :9114/metrics for the collector alone. Cost: 50 m CPU, 64 MiB."""

    def __init__(self, name: str, args: SearchExporterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:SearchExporter", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=args.cluster)
        metadata = cast(Any, {"name": NAME, "namespace": NAMESPACE, "labels": _LABELS})
        networking.v1.NetworkPolicy(name, metadata=metadata, spec=cast(Any, exporter_network_policy(args.cidr)), opts=child)
        apps.v1.Deployment(name, metadata=metadata, spec=cast(Any, exporter_deployment()), opts=child)
        self.register_outputs({})


def exporter_network_policy(cidr: str) -> dict[str, Any]:
    """Ingress from the metrics collector. Egress to search and DNS is in the namespace's own policy."""
    return {
        "podSelector": {"matchLabels": _LABELS},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"ipBlock": {"cidr": cidr}}], "ports": [{"port": PORT, "protocol": "TCP"}]}],
    }


def exporter_deployment() -> dict[str, Any]:
    """The Deployment's spec: one pod, because two would export the same numbers twice."""
    secret = {"name": users.METRICS}
    container = {
        "name": NAME,
        "image": IMAGE,
        "args": [f"--es.uri={URL}", "--es.ca=/ca/ca.crt", "--es.all", "--collector.snapshots", "--es.timeout=20s", f"--web.listen-address=:{PORT}"],
        "env": [
            {"name": "ES_USERNAME", "valueFrom": {"secretKeyRef": {**secret, "key": "username"}}},
            {"name": "ES_PASSWORD", "valueFrom": {"secretKeyRef": {**secret, "key": "password"}}},
        ],
        "ports": [{"name": scrape.METRICS_PORT, "containerPort": PORT, "protocol": "TCP"}],
        "volumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": True}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}},
        # /healthz does not ask Elasticsearch, because an outage of search must not restart the pod that reports it.
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "metrics"}, "periodSeconds": 30, "timeoutSeconds": 5},
        "securityContext": restricted.CONTAINER,
    }  # fmt: skip
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "ca", "secret": {"secretName": CA_SECRET, "items": [{"key": "ca.crt", "path": "ca.crt"}]}}],
    }  # fmt: skip
    return {
        "replicas": 1,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": _LABELS},
        "template": {"metadata": {"labels": _LABELS}, "spec": pod},
    }
