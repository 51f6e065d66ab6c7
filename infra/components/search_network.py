"""Who may talk to whom in the search namespace. Auto Mode enforces it by the switch in cluster_objects.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from infra.components.search_operator import NAMESPACE as OPERATOR_NAMESPACE

HTTP: Final = 9200
TRANSPORT: Final = 9300
KIBANA: Final = 5601
_METADATA: Final = "169.254.169.254/32"  # the machine's own identity, which is nobody's in a pod


def policies(namespace: str, client_namespaces: Sequence[str]) -> dict[str, dict[str, Any]]:
    """NetworkPolicy specs by name: nothing comes in but search from the colors and the operator; out only names, each other and HTTPS.

    `kubectl port-forward` reaches Kibana all the same: it comes from the pod's own node.
    """
    own: list[dict[str, Any]] = [{"podSelector": {}}]
    asking = [*own, *(_namespace(name) for name in (*client_namespaces, OPERATOR_NAMESPACE))]
    search = {"matchLabels": {"common.k8s.elastic.co/type": "elasticsearch"}}
    return {
        "default": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "egress": [
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {"to": own, "ports": [{"port": port, "protocol": "TCP"} for port in (HTTP, TRANSPORT, KIBANA)]},
            ],
        },
        "elasticsearch": {
            "podSelector": search,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": asking, "ports": [{"port": HTTP, "protocol": "TCP"}]},
                {"from": [{"podSelector": search}], "ports": [{"port": TRANSPORT, "protocol": "TCP"}]},
            ],
            # Snapshots: S3 and STS have no fixed addresses.
            "egress": [
                {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [_METADATA]}}], "ports": [{"port": 443, "protocol": "TCP"}]}
            ],
        },
        "kibana": {
            "podSelector": {"matchLabels": {"common.k8s.elastic.co/type": "kibana"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [_namespace(OPERATOR_NAMESPACE)], "ports": [{"port": KIBANA, "protocol": "TCP"}]}],
        },
    }


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
