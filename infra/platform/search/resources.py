"""Elasticsearch and Kibana as ECK's custom resources: plain data from the stack's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pulumi

from contract import quantities
from infra.config import search_size
from infra.config.sections import SearchConfig
from infra.platform.cluster.objects import POOL_LABEL, SEARCH_POOL

NAME: Final = "teal"
NAMESPACE: Final = "teal-search"
SERVICE_ACCOUNT: Final = "elasticsearch"
URL: Final = f"https://{NAME}-es-http.{NAMESPACE}.svc:9200"  # ECK's service; its certificate names it
CA_SECRET: Final = f"{NAME}-es-http-certs-public"  # ECK's name for it; key `ca.crt`
USER: Final = 1000  # `elasticsearch` of Elastic's image
# Elasticsearch 8.19 reads the service account's token from exactly this folder, and from nowhere else.
# Source: elastic/docs-content, "Manage snapshot repositories in ECK", IAM roles for service accounts.
TOKEN_FOLDER: Final = "/usr/share/elasticsearch/config/repository-s3"  # noqa: S105  # a folder
TOKEN_FILE: Final = "aws-web-identity-token-file"  # noqa: S105  # a file's name
TOKEN_SECONDS: Final = 86_400  # kubelet renews it at 80 %


@dataclass(frozen=True)
class ClusterShape:
    """`zones`: the number of zones with nodes; 1: no zone awareness. Secrets are given by their names in the search namespace."""

    config: SearchConfig
    zones: int
    region: str
    storage_class: str
    role_arn: pulumi.Input[str]
    user_secrets: tuple[str, ...]
    roles_secret: str


def zones(config: SearchConfig, network_zones: int) -> int:
    """The number of zones with nodes: the configured one, or as many as the network has and the nodes can fill."""
    return config.zones or min(config.nodes, network_zones)


def elasticsearch_spec(shape: ClusterShape) -> dict[str, Any]:
    """Spec of the Elasticsearch resource: one set of nodes of all roles.

    A single node has no standby: it is down for minutes at each rotation of its machine (at most every 14 days). With three or
    more, one may be lost; ECK's disruption budget allows one at a time to be moved, and only while the cluster is green.
    """
    config = shape.config
    nodes: dict[str, Any] = {
        "name": "default",
        "count": config.nodes,
        "config": {
            "s3.client.default.region": shape.region,
            "ingest.geoip.downloader.enabled": False,  # IP addresses are not looked up
            "action.destructive_requires_name": True,
        },
        "podTemplate": _pod(shape),
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "elasticsearch-data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": shape.storage_class,
                    "resources": {"requests": {"storage": quantities.memory_quantity(1024 * config.storage_gib)}},
                },
            }
        ],
    }
    if shape.zones > 1:
        nodes["zoneAwareness"] = {"topologyKey": "topology.kubernetes.io/zone"}  # spreads pods and shard copies over the zones
    spec: dict[str, Any] = {
        "version": config.version,
        "auth": {
            "fileRealm": [{"secretName": name} for name in shape.user_secrets],
            "roles": [{"secretName": shape.roles_secret}],
        },
        "nodeSets": [nodes],
        "volumeClaimDeletePolicy": "DeleteOnScaledownOnly",
    }
    if config.nodes == 1:
        # ECK's default budget would never let a single node be moved, but its machine has to be replaced some day.
        selector = {"matchLabels": {"elasticsearch.k8s.elastic.co/cluster-name": NAME}}
        spec["podDisruptionBudget"] = {"spec": {"maxUnavailable": 1, "selector": selector}}
    return spec


def _pod(shape: ClusterShape) -> dict[str, Any]:
    config = shape.config
    heap, cpu = search_size.heap_mib(config.memory_gib), search_size.cpus(config.memory_gib)
    memory = quantities.memory_quantity(1024 * config.memory_gib)
    environment: dict[str, pulumi.Input[str]] = {
        "ES_JAVA_OPTS": f"-Xms{heap}m -Xmx{heap}m",
        "AWS_REGION": shape.region,
        "AWS_ROLE_ARN": shape.role_arn,
        "AWS_ROLE_SESSION_NAME": "elasticsearch-snapshots",
        "AWS_WEB_IDENTITY_TOKEN_FILE": f"{TOKEN_FOLDER}/{TOKEN_FILE}",
    }
    token = {"audience": "sts.amazonaws.com", "expirationSeconds": TOKEN_SECONDS, "path": TOKEN_FILE}
    spec: dict[str, Any] = {
        "serviceAccountName": SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        "nodeSelector": {POOL_LABEL: SEARCH_POOL},
        "tolerations": [{"key": POOL_LABEL, "operator": "Equal", "value": SEARCH_POOL, "effect": "NoSchedule"}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "elasticsearch",
                "env": [{"name": key, "value": value} for key, value in environment.items()],
                "resources": {
                    "requests": {"cpu": str(cpu), "memory": memory},
                    "limits": {"cpu": str(2 * cpu), "memory": memory},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "runAsNonRoot": True,
                    "readOnlyRootFilesystem": True,
                },
                "volumeMounts": [{"name": "aws-token", "mountPath": TOKEN_FOLDER, "readOnly": True}],
            }
        ],
        "volumes": [{"name": "aws-token", "projected": {"sources": [{"serviceAccountToken": token}]}}],
    }
    if config.nodes > 1:
        labels = {"matchLabels": {"elasticsearch.k8s.elastic.co/cluster-name": NAME}}
        apart = {"labelSelector": labels, "topologyKey": "kubernetes.io/hostname"}
        spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}}
    return {"metadata": {"labels": {"app.kubernetes.io/part-of": "teal"}}, "spec": spec}


def kibana(version: str) -> dict[str, Any]:
    """Spec of the Kibana resource: one pod, reached by `kubectl port-forward` only."""
    container = {
        "name": "kibana",
        "resources": {"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
        },
    }
    return {
        "version": version,
        "count": 1,
        "elasticsearchRef": {"name": NAME},
        "config": {"telemetry.optIn": False},
        "podTemplate": {
            "metadata": {"labels": {"app.kubernetes.io/part-of": "teal"}},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": USER,
                    "fsGroup": USER,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
            },
        },
    }
