"""The network policies of the search namespace.
Auto Mode enforces them because of the switch in infra/platform/cluster/objects.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from infra.platform.network import rules
from infra.platform.network.rules import tcp
from infra.platform.search.operator import NAMESPACE as OPERATOR_NAMESPACE

HTTP: Final = 9200
TRANSPORT: Final = 9300
KIBANA: Final = 5601


def search_network_policies(cidr: str, client_namespaces: Sequence[str]) -> dict[str, dict[str, Any]]:
    """NetworkPolicy specs by name: ingress only to search from the colors and the operator;
    egress only to DNS, each other and HTTPS.

    `cidr` is the VPC's. `kubectl port-forward` reaches Kibana all the same: it comes from the pod's own node.
    """
    own: list[dict[str, Any]] = [{"podSelector": {}}]
    asking = [*own, *(rules.pods_of_namespace(name) for name in (*client_namespaces, OPERATOR_NAMESPACE))]
    search = {"matchLabels": {"common.k8s.elastic.co/type": "elasticsearch"}}
    return {
        "default": {
            **rules.deny_all(),
            "egress": [rules.to_name_servers(cidr), {"to": own, "ports": tcp(HTTP, TRANSPORT, KIBANA)}],
        },
        "elasticsearch": {
            "podSelector": search,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": asking, "ports": tcp(HTTP)},
                {"from": [{"podSelector": search}], "ports": tcp(TRANSPORT)},
            ],
            # For snapshots; S3 and STS have no fixed addresses.
            "egress": [{"to": rules.world(), "ports": tcp(443)}],
        },
        "kibana": rules.ingress(
            [{"from": [rules.pods_of_namespace(OPERATOR_NAMESPACE)], "ports": tcp(KIBANA)}],
            {"matchLabels": {"common.k8s.elastic.co/type": "kibana"}},
        ),
    }
