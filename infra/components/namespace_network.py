"""Who may talk to whom in the namespaces of KEDA, of the database's maintenance and of load tests: nothing, and then what each needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import networking

# KEDA's own ports. Source: cmd/operator/main.go, cmd/webhooks/main.go and config/metrics-server of kedacore/keda v2.20.2.
KEDA_GRPC: Final = 9666
KEDA_WEBHOOK: Final = 9443
KEDA_METRICS: Final = 6443
POSTGRES: Final = 5432
LOCUST: Final = 5557  # where workers reach their master: --master-port of locust 2.47
_POD_IDENTITY: Final = "169.254.170.23/32"  # the agent's own address on every EKS node
_LINK_LOCAL: Final = "169.254.0.0/16"  # the node's metadata, and with it the node's role
_NAMES: Final = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}


def maintenance(cidr: str) -> dict[str, dict[str, Any]]:
    """The weekly job asks for a name and speaks to PostgreSQL. Its secret is brought by the node's driver, not by the pod."""
    return {"default": _closed(), "job": _to([_NAMES, _database(cidr)])}


def keda(cidr: str) -> dict[str, dict[str, Any]]:
    """The API server, which has addresses in the VPC and no pod, asks the adapter and the webhook; KEDA asks it, AWS and PostgreSQL."""
    own: dict[str, Any] = {"podSelector": {}}
    world = {"ipBlock": {"cidr": "0.0.0.0/0", "except": [_LINK_LOCAL]}}
    asked = {"from": [{"ipBlock": {"cidr": cidr}}], "ports": [_tcp(KEDA_WEBHOOK), _tcp(KEDA_METRICS)]}
    return {
        "default": _closed(),
        "asked": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [asked, {"from": [own], "ports": [_tcp(KEDA_GRPC)]}],
        },
        "asking": _to(
            [
                _NAMES,
                {"to": [own], "ports": [_tcp(KEDA_GRPC)]},
                {"to": [{"ipBlock": {"cidr": _POD_IDENTITY}}], "ports": [_tcp(80)]},
                # The API server by its service's address, Secrets Manager by one that is not fixed.
                {"to": [world], "ports": [_tcp(443)]},
                _database(cidr),
            ]
        ),
    }


def load_test() -> dict[str, dict[str, Any]]:
    """Workers reach their master, and all of it the service by its public address. `kubectl port-forward` needs no rule."""
    own: dict[str, Any] = {"podSelector": {}}
    service = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [_LINK_LOCAL]}}], "ports": [_tcp(443)]}
    return {
        "default": _closed(),
        "workers": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [own], "ports": [_tcp(LOCUST)]}]},
        "asking": _to([_NAMES, {"to": [own], "ports": [_tcp(LOCUST)]}, service]),
    }


def install(
    name: str, namespace: str, specs: Mapping[str, Mapping[str, Any]], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """The policies as objects of `namespace`."""
    return [
        networking.v1.NetworkPolicy(
            f"{name}-{policy}", metadata={"name": policy, "namespace": namespace}, spec=cast(Any, dict(spec)), opts=opts
        )
        for policy, spec in specs.items()
    ]


def _closed() -> dict[str, Any]:
    return {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def _to(rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"podSelector": {}, "policyTypes": ["Egress"], "egress": rules}


def _database(cidr: str) -> dict[str, Any]:
    return {"to": [{"ipBlock": {"cidr": cidr}}], "ports": [_tcp(POSTGRES)]}


def _tcp(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}
