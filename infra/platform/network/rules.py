"""Parts of NetworkPolicy specs. Every port has an explicit protocol, because the API server would otherwise add it,
and a list of rules is atomic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import networking

from infra.platform.network import addresses

POSTGRES: Final = 5432
REDIS: Final = 6379
POD_IDENTITY: Final = "169.254.170.23/32"  # the agent's address on every EKS node
LINK_LOCAL: Final = "169.254.0.0/16"  # the node's metadata, and with it the node's role

Rule = dict[str, Any]


def deny_all() -> dict[str, Any]:
    """A spec that denies all ingress and egress of the namespace's pods."""
    return {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def tcp(*ports: int) -> list[Rule]:
    """TCP ports."""
    return [{"port": port, "protocol": "TCP"} for port in ports]


def by_address(*cidrs: str) -> list[Rule]:
    """Peers by address."""
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]


def world() -> list[Rule]:
    """Every address except the node's link-local ones."""
    return [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [LINK_LOCAL]}}]


def pods_of_namespace(name: str) -> Rule:
    """All pods of a namespace."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def to_name_servers(cidr: str) -> Rule:
    """Egress: look up names, at the resolvers of the cluster and the VPC alone. `cidr` is the VPC's."""
    return {
        "to": by_address(*addresses.resolvers(cidr)),
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }


def to_stores(cidr: str, *ports: int) -> Rule:
    """Egress: these ports of the networks that hold the stores."""
    return {"to": by_address(*addresses.data_subnets(cidr)), "ports": tcp(*ports)}


def to_pod_identity_agent() -> Rule:
    """Egress: EKS Pod Identity's agent, which hands out the role of the pod's service account."""
    return {"to": by_address(POD_IDENTITY), "ports": tcp(80)}


def egress(rules: Iterable[Rule], selector: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A spec: the selected pods (all of the namespace unless said) may reach these peers on these ports."""
    return {"podSelector": dict(selector or {}), "policyTypes": ["Egress"], "egress": list(rules)}


def ingress(rules: Sequence[Rule], selector: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A spec: the selected pods (all of the namespace unless said) may be reached by these peers on these ports."""
    return {"podSelector": dict(selector or {}), "policyTypes": ["Ingress"], "ingress": list(rules)}


def install_policies(
    name: str, namespace: str, specs: Mapping[str, Mapping[str, Any]], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """The policies as objects of `namespace`."""
    return [
        networking.v1.NetworkPolicy(
            f"{name}-{policy}", metadata={"name": policy, "namespace": namespace}, spec=cast(Any, dict(spec)), opts=opts
        )
        for policy, spec in specs.items()
    ]
