"""Who may talk to a color's pods, and whom they may talk to. Nothing else: the first rule denies all."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from infra.components.load_balancer_access import POD_PORT
from infra.service.given import Given
from infra.service.pods import WORKER_METRICS_PORT

_POD_IDENTITY: Final = "169.254.170.23/32"  # the agent's own address on every EKS node
_LINK_LOCAL: Final = "169.254.0.0/16"  # the node's metadata, and with it the node's role
_STORES: Final = (5432, 6379)  # PostgreSQL and Redis
_SEARCH: Final = 9200


def policies(given: Given) -> dict[str, dict[str, Any]]:
    """The NetworkPolicy specs of a color by name. `all` covers Jobs too, which carry the same `app.kubernetes.io/name`."""
    everything = {"matchLabels": {"app.kubernetes.io/name": "teal"}}
    web, worker = ({"matchLabels": {**given.labels, "app.kubernetes.io/component": one}} for one in ("app", "worker"))
    vpc = {"ipBlock": {"cidr": given.platform.vpc_cidr}}
    return {
        "deny": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        # From the VPC: the load balancer and the metrics scraper have addresses there and no pod to select by.
        "web": {"podSelector": web, "policyTypes": ["Ingress"], "ingress": [{"from": [vpc], "ports": [_tcp(POD_PORT)]}]},
        "worker": {
            "podSelector": worker,
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [vpc], "ports": [_tcp(WORKER_METRICS_PORT)]}],
        },
        "all": {"podSelector": everything, "policyTypes": ["Egress"], "egress": egress(given)},
    }


def egress(given: Given) -> list[dict[str, Any]]:
    """Names, credentials, the stores, the search engine; the internet only on the ports of the models and sinks configured."""
    vpc = {"ipBlock": {"cidr": given.platform.vpc_cidr}}
    rules: list[dict[str, Any]] = [
        # In Auto Mode DNS is a service of the node, not a pod that a selector could name.
        {"ports": [{"protocol": "UDP", "port": 53}, _tcp(53)]},
        {"to": [{"ipBlock": {"cidr": _POD_IDENTITY}}], "ports": [_tcp(80)]},
        {"to": [vpc], "ports": [_tcp(port) for port in _STORES]},
        {"to": [_search(given)], "ports": [_tcp(_SEARCH)]},
    ]
    ports = outside(given)
    if ports:
        world = {"ipBlock": {"cidr": "0.0.0.0/0", "except": [_LINK_LOCAL]}}
        rules.append({"to": [world], "ports": [_tcp(port) for port in ports]})
    return rules


def outside(given: Given) -> list[int]:
    """Ports on the internet that this configuration calls: Bedrock, an OpenAI-compatible endpoint, Sentry, a collector of traces."""
    config = given.record.config
    ports: set[int] = set()
    if "bedrock" in (config.get("TEAL_GENERATION"), config.get("TEAL_EMBEDDING")):
        ports.add(443)
    if config.get("SENTRY_DSN") or "SENTRY_DSN" in given.platform.app_secrets:
        ports.add(443)
    for name in ("TEAL_OPENAI_BASE_URL", "OTEL_EXPORTER_OTLP_ENDPOINT", "TEAL_OTLP_ENDPOINT"):
        address = urlsplit(config.get(name, ""))
        if address.hostname is None:
            continue
        ports.add(address.port or (443 if address.scheme == "https" else 80))
    return sorted(ports)


def _search(given: Given) -> dict[str, Any]:
    """The pods of the search engine, whose namespace stands in its address (`teal-es-http.<namespace>.svc`)."""
    host = urlsplit(given.record.config.get("ELASTICSEARCH_URL", "")).hostname or ""
    name, _, rest = host.partition(".")
    namespace = rest.partition(".")[0]
    if name and namespace:
        return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    return {"ipBlock": {"cidr": given.platform.vpc_cidr}}


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}
