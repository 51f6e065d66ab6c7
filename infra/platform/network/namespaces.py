"""The network policies of the platform's namespaces: all traffic is denied, then each gets the connections that it needs.

The release role may not change them, because a right to open egress would be a right to send a color's secrets away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from contract import pods
from contract.color import Color
from contract.http import POD_PORT
from contract.names import NAMESPACES
from contract.scrape import LOAD_GENERATOR, LOAD_METRICS_PORT, WORKER_METRICS_PORT
from infra.platform.network import addresses, rules
from infra.platform.network.rules import POSTGRES, REDIS, by_address, tcp

# KEDA's own ports. Source: cmd/operator/main.go, cmd/webhooks/main.go and config/metrics-server of kedacore/keda v2.20.2.
KEDA_GRPC: Final = 9666
KEDA_WEBHOOK: Final = 9443
KEDA_METRICS: Final = 6443
ECK_WEBHOOK: Final = 9443  # --webhook-port of eck-operator v3.5.0 (cmd/manager/main.go)
LOCUST: Final = 5557  # the master's port for workers: --master-port of locust 2.47
MOCK_MODEL: Final = 8090  # --port of loadtests/mock_model.py
SEARCH: Final = 9200

Specs = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class NetworkReach:
    """What the pods of the service may reach: the VPC `cidr`, the namespace of the search engine, `ports` anywhere on the internet, and
    the mock model in a namespace, if there is one."""

    cidr: str
    search_namespace: str
    ports: Sequence[int] = ()
    mock_model_namespace: str | None = None

    def egress(self) -> list[rules.Rule]:
        """Egress to DNS, Pod Identity, stores and search,
        and to the internet only on the ports of configured models and collectors."""
        found = [
            rules.to_name_servers(self.cidr),
            rules.to_pod_identity_agent(),
            rules.to_stores(self.cidr, POSTGRES, REDIS),
            {"to": [rules.pods_of_namespace(self.search_namespace)], "ports": tcp(SEARCH)},
        ]
        if self.mock_model_namespace:
            found.append({"to": [rules.pods_of_namespace(self.mock_model_namespace)], "ports": tcp(MOCK_MODEL)})
        return [*found, {"to": rules.world(), "ports": tcp(*self.ports)}] if self.ports else found


def color(own: Color, reach: NetworkReach) -> Specs:
    """Policies of a color's namespace. The load balancer and the metrics collector are no pods,
    so they are selected by the VPC's addresses."""
    web, worker = ({"matchLabels": pods.pod_labels(own, component)} for component in ("app", "worker"))
    vpc = by_address(reach.cidr)
    return {
        "deny": rules.deny_all(),
        "web": rules.ingress([{"from": vpc, "ports": tcp(POD_PORT)}], web),
        "worker": rules.ingress([{"from": vpc, "ports": tcp(WORKER_METRICS_PORT)}], worker),
        "all": rules.egress(reach.egress(), {"matchLabels": {pods.NAME_LABEL: pods.SERVICE}}),
    }


def operator_policies(reach: NetworkReach) -> Specs:
    """Policies for Jobs that take and restore snapshots: no ingress;
    egress to stores and search, and none to the internet, as they use no model."""
    return {"deny": rules.deny_all(), "jobs": rules.egress(NetworkReach(reach.cidr, reach.search_namespace).egress())}


def maintenance(cidr: str) -> Specs:
    """Policies for the weekly job: egress to DNS and PostgreSQL. Its secret is read by the node's driver, not by the pod."""
    return {"default": rules.deny_all(), "job": rules.egress([rules.to_name_servers(cidr), rules.to_stores(cidr, POSTGRES)])}


def keda(cidr: str) -> Specs:
    """Policies for KEDA: ingress from the API server, which has addresses in the VPC but no pod;
    egress to it, to AWS and to PostgreSQL."""
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
                # The API server by its Service's address; Secrets Manager has no fixed address.
                {"to": rules.world(), "ports": tcp(443)},
                rules.to_stores(cidr, POSTGRES),
            ]
        ),
    }


def search_operator(cidr: str, search_namespace: str) -> Specs:
    """Policies for ECK's operator: egress to Kubernetes and Elasticsearch, ingress to its webhook;
    none to the internet, as telemetry is off."""
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


def load_test(cidr: str, callers_of_mock_model: Sequence[str] = ()) -> Specs:
    """Policies for load tests: workers reach their master, the metrics collector its counts, and all pods the service, by its
    public address and inside the cluster.
    `kubectl port-forward` needs no rule. `callers_of_mock_model`: namespaces whose pods may call the mock model; empty: it does not run."""
    own: list[rules.Rule] = [{"podSelector": {}}]
    callers = [rules.pods_of_namespace(namespace) for namespace in callers_of_mock_model]
    return {
        **({"mock-model": rules.ingress([{"from": callers, "ports": tcp(MOCK_MODEL)}])} if callers else {}),
        "default": rules.deny_all(),
        "workers": rules.ingress([{"from": own, "ports": tcp(LOCUST)}]),
        "metrics": rules.ingress(
            [{"from": by_address(cidr), "ports": tcp(LOAD_METRICS_PORT)}], {"matchLabels": {pods.NAME_LABEL: LOAD_GENERATOR}}
        ),
        "asking": rules.egress(
            [
                rules.to_name_servers(cidr),
                {"to": own, "ports": tcp(LOCUST)},
                {"to": [rules.pods_of_namespace(namespace) for namespace in NAMESPACES.values()], "ports": tcp(POD_PORT)},
                {"to": rules.world(), "ports": tcp(443)},
            ]
        ),
    }
