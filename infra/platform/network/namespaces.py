"""Who may talk to whom in each namespace of the platform's: nothing, and then what each needs.

A release role may not change any of it: whoever may open a color's way out may carry its secrets away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from contract import pods
from contract.color import Color
from contract.http import POD_PORT
from contract.scrape import WORKER_METRICS_PORT
from infra.platform.network import addresses, rules
from infra.platform.network.rules import POSTGRES, REDIS, by_address, tcp

# KEDA's own ports. Source: cmd/operator/main.go, cmd/webhooks/main.go and config/metrics-server of kedacore/keda v2.20.2.
KEDA_GRPC: Final = 9666
KEDA_WEBHOOK: Final = 9443
KEDA_METRICS: Final = 6443
ECK_WEBHOOK: Final = 9443  # --webhook-port of eck-operator v3.5.0 (cmd/manager/main.go)
LOCUST: Final = 5557  # where workers reach their master: --master-port of locust 2.47
SEARCH: Final = 9200

Specs = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class NetworkReach:
    """What the pods of the service may reach: the VPC `cidr`, the namespace of the search engine, and `ports` anywhere on the internet."""

    cidr: str
    search_namespace: str
    ports: Sequence[int] = ()

    def egress(self) -> list[rules.Rule]:
        """Names, credentials, stores and search; the internet only on the ports of the models and collectors that are configured."""
        found = [
            rules.to_name_servers(self.cidr),
            rules.to_pod_identity_agent(),
            rules.stores(self.cidr, POSTGRES, REDIS),
            {"to": [rules.pods_of_namespace(self.search_namespace)], "ports": tcp(SEARCH)},
        ]
        return [*found, {"to": rules.world(), "ports": tcp(*self.ports)}] if self.ports else found


def color(own: Color, reach: NetworkReach) -> Specs:
    """A color's namespace. The load balancer and the collector of metrics have addresses in the VPC and no pod to select by."""
    web, worker = ({"matchLabels": pods.pod_labels(own, component)} for component in ("app", "worker"))
    vpc = by_address(reach.cidr)
    return {
        "deny": rules.deny_all(),
        "web": rules.ingress([{"from": vpc, "ports": tcp(POD_PORT)}], web),
        "worker": rules.ingress([{"from": vpc, "ports": tcp(WORKER_METRICS_PORT)}], worker),
        "all": rules.egress(reach.egress(), {"matchLabels": {pods.NAME_LABEL: pods.SERVICE}}),
    }


def operator_policies(reach: NetworkReach) -> Specs:
    """Jobs that snapshot and restore: nobody reaches them, and they reach the stores and search. No model, so nothing on the internet."""
    return {"deny": rules.deny_all(), "jobs": rules.egress(NetworkReach(reach.cidr, reach.search_namespace).egress())}


def maintenance(cidr: str) -> Specs:
    """The weekly job asks for a name and speaks to PostgreSQL. Its secret is brought by the node's driver, not by the pod."""
    return {"default": rules.deny_all(), "job": rules.egress([rules.to_name_servers(cidr), rules.stores(cidr, POSTGRES)])}


def keda(cidr: str) -> Specs:
    """The API server, which has addresses in the VPC and no pod, asks the adapter and the webhook; KEDA asks it, AWS and PostgreSQL."""
    own: list[rules.Rule] = [{"podSelector": {}}]
    return {
        "default": rules.deny_all(),
        "asked": rules.ingress(
            [{"from": by_address(cidr), "ports": tcp(KEDA_WEBHOOK, KEDA_METRICS)}, {"from": own, "ports": tcp(KEDA_GRPC)}]
        ),
        "asking": rules.egress(
            [
                rules.to_name_servers(cidr),
                {"to": own, "ports": tcp(KEDA_GRPC)},
                rules.to_pod_identity_agent(),
                # The API server by its service's address, Secrets Manager by one that is not fixed.
                {"to": rules.world(), "ports": tcp(443)},
                rules.stores(cidr, POSTGRES),
            ]
        ),
    }


def search_operator(cidr: str, search_namespace: str) -> Specs:
    """ECK's operator asks Kubernetes and the Elasticsearch that it runs; Kubernetes asks its webhook. Nothing on the internet: telemetry is off."""
    return {
        "default": rules.deny_all(),
        "asked": rules.ingress([{"from": by_address(cidr), "ports": tcp(ECK_WEBHOOK)}]),
        "asking": rules.egress(
            [
                rules.to_name_servers(cidr),
                {"to": by_address(*addresses.api(cidr)), "ports": tcp(443)},
                {"to": [rules.pods_of_namespace(search_namespace)], "ports": tcp(SEARCH)},
            ]
        ),
    }


def load_test(cidr: str) -> Specs:
    """Workers reach their master, and all of it the service by its public address. `kubectl port-forward` needs no rule."""
    own: list[rules.Rule] = [{"podSelector": {}}]
    return {
        "default": rules.deny_all(),
        "workers": rules.ingress([{"from": own, "ports": tcp(LOCUST)}]),
        "asking": rules.egress(
            [rules.to_name_servers(cidr), {"to": own, "ports": tcp(LOCUST)}, {"to": rules.world(), "ports": tcp(443)}]
        ),
    }
