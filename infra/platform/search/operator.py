"""The operator that runs Elasticsearch: Elastic Cloud on Kubernetes (ECK), Basic licence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pulumi
from pulumi_kubernetes import core, helm

from infra.platform.network import namespaces, rules

# Chart and operator share this number. Source: Go module github.com/elastic/cloud-on-k8s/v3 v3.5.0, deploy/eck-operator, whose
# README says Kubernetes 1.32 to 1.36. tests/parts/infra/test_eck_chart.py renders the chart by Helm's own library, tests/node runs it.
VERSION: Final = "3.5.0"
REPOSITORY: Final = "https://helm.elastic.co"
NAMESPACE: Final = "elastic-system"
INSTALL_SECONDS: Final = 600  # a first node of Auto Mode takes a minute or two
CA_HOURS: Final = 5 * 365 * 24  # the service has a copy of the CA, so a yearly renewal would cut off running pods


def install_operator(
    name: str,
    managed_namespaces: Sequence[str],
    cidr: str,
    provider: pulumi.ProviderResource,
    ready: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> helm.v3.Release:
    """Install the operator and its custom resource definitions, in a namespace whose network is closed before it has pods.
    `cidr`: the VPC's. Protected, because without the operator nobody replaces a node of Elasticsearch or renews a certificate. The
    definitions, and every Elasticsearch with them, would stay: the chart keeps them when it is removed (`helm.sh/resource-policy`)."""
    namespace = core.v1.Namespace(
        f"{name}-operator",
        metadata={"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "baseline"}},
        opts=pulumi.ResourceOptions(parent=parent, provider=provider, depends_on=list(ready)),
    )
    inside = pulumi.ResourceOptions(parent=parent, provider=provider, depends_on=[namespace])
    (managed,) = managed_namespaces
    closed = rules.install_policies(f"{name}-operator", NAMESPACE, namespaces.search_operator(cidr, managed), inside)
    return helm.v3.Release(
        f"{name}-operator",
        name="elastic-operator",
        chart="eck-operator",
        version=VERSION,
        repository_opts={"repo": REPOSITORY},
        namespace=NAMESPACE,
        create_namespace=False,
        atomic=True,
        timeout=INSTALL_SECONDS,
        values=chart_values(managed_namespaces),
        opts=pulumi.ResourceOptions(parent=parent, provider=provider, depends_on=[namespace, *closed], protect=True),
    )


def chart_values(managed_namespaces: Sequence[str]) -> dict[str, Any]:
    """The values that differ from the chart's defaults, by which its pod is not root,
    has a read-only root and drops all capabilities."""
    return {
        "managedNamespaces": list(managed_namespaces),
        "telemetry": {"disabled": True},
        "podSecurityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "config": {"caValidity": f"{CA_HOURS}h", "setDefaultSecurityContext": "true"},
    }
