"""Every namespace of the program begins closed, and opens to what its pods need."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest

from infra.compose.settings import outside_ports
from infra.config.read import load_config
from infra.evaluation.evaluate import Evaluation, stack_values
from infra.platform.cluster import autoscaling
from infra.platform.network import addresses, namespaces, rules
from infra.platform.network.namespaces import NetworkReach
from infra.platform.stores import database_maintenance
from tests.unit.infra.conftest import of_type

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
OPEN: dict[str, str] = {}  # namespaces that this program makes and does not close, each with why
CIDR = "10.1.0.0/16"


def closed(spec: dict[str, Any]) -> bool:
    return spec["podSelector"] == {} and set(spec["policyTypes"]) == {"Ingress", "Egress"}


def test_every_namespace_is_closed_or_has_a_reason(platform: Evaluation) -> None:
    made = {one.inputs["metadata"]["name"] for one in of_type(platform, "kubernetes:core/v1:Namespace")}
    shut = {one.inputs["metadata"]["namespace"] for one in of_type(platform, POLICY) if closed(one.inputs["spec"])}
    assert made - shut == made & set(OPEN)
    assert {autoscaling.NAMESPACE, database_maintenance.NAMESPACE} <= shut


def test_the_weekly_job_reaches_names_and_the_database_alone() -> None:
    specs = namespaces.maintenance(CIDR)
    assert not any("ingress" in spec for spec in specs.values())
    ports = {port["port"] for spec in specs.values() for rule in spec.get("egress", []) for port in rule["ports"]}
    assert ports == {53, 5432}
    (database,) = [rule for spec in specs.values() for rule in spec.get("egress", []) if rule["ports"][0]["port"] == 5432]
    assert database["to"] == rules.by_address(*addresses.data_subnets(CIDR))


def test_keda_is_asked_from_the_network_and_never_reads_the_node_s_identity() -> None:
    specs = namespaces.keda(CIDR)
    from_network = [rule for rule in specs["asked"]["ingress"] if "ipBlock" in rule["from"][0]]
    assert [rule["from"] for rule in from_network] == [[{"ipBlock": {"cidr": CIDR}}]]
    assert {port["port"] for rule in from_network for port in rule["ports"]} == {9443, 6443}
    for rule in specs["asking"]["egress"]:
        for target in rule.get("to", []):
            if target.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                assert "169.254.0.0/16" in target["ipBlock"]["except"]
    assert {port["port"] for rule in specs["asking"]["egress"] for port in rule["ports"]} == {53, 80, 443, 5432, 9666}


def test_the_policies_are_there_before_the_pods(platform: Evaluation) -> None:
    policies = {one.inputs["metadata"]["namespace"]: one.urn for one in of_type(platform, POLICY)}
    (keda,) = [one for one in of_type(platform, "kubernetes:helm.sh/v3:Release") if one.inputs["name"] == "keda"]
    assert policies[autoscaling.NAMESPACE] in keda.depends_on
    (job,) = of_type(platform, "kubernetes:batch/v1:CronJob")
    assert policies[database_maintenance.NAMESPACE] in job.depends_on


def test_the_operator_of_search_reaches_kubernetes_and_search_and_nothing_on_the_internet(platform: Evaluation) -> None:
    specs = namespaces.search_operator(CIDR, "teal-search")
    peers = [(peer, port["port"]) for rule in specs["asking"]["egress"] for peer in rule["to"] for port in rule["ports"]]
    for peer, _ in peers:
        if "ipBlock" in peer:
            address = ipaddress.ip_network(peer["ipBlock"]["cidr"])
            assert address.is_private or address.is_link_local
    kubernetes = {peer["ipBlock"]["cidr"] for peer, port in peers if port == 443}
    assert kubernetes == {"172.20.0.1/32", *(zone.private for zone in addresses.subnets(CIDR))}
    assert [peer for peer, port in peers if port == 9200] == [rules.pods_of_namespace("teal-search")]
    assert specs["asked"]["ingress"] == [{"from": rules.by_address(CIDR), "ports": rules.tcp(9443)}]
    (release,) = [one for one in of_type(platform, "kubernetes:helm.sh/v3:Release") if one.inputs["name"] == "elastic-operator"]
    own = {one.urn for one in of_type(platform, POLICY) if one.inputs["metadata"]["namespace"] == "elastic-system"}
    assert len(own) == 3
    assert own <= set(release.depends_on)


# Who reaches port 443 of the world, and what for; a namespace that is not here reaches no internet at all.
WORLD_443 = {
    "keda": "AWS Secrets Manager, whose addresses are not fixed",
    "teal-search": "S3 and STS, for snapshots",
    "teal-load": "the service, by its public address",
    "teal-blue": "the models of Bedrock",
    "teal-green": "the models of Bedrock",
}


def test_only_who_must_reaches_the_internet_and_on_443_alone(platform: Evaluation) -> None:
    outside = [
        (one.inputs["metadata"]["namespace"], rule)
        for one in of_type(platform, POLICY)
        for rule in one.inputs["spec"].get("egress", [])
        if any(not ipaddress.ip_network(cidr).is_private and not ipaddress.ip_network(cidr).is_link_local
               for peer in rule["to"] if (cidr := peer.get("ipBlock", {}).get("cidr")))
    ]  # fmt: skip
    assert {namespace for namespace, _ in outside} <= set(WORLD_443)
    for namespace, rule in outside:
        assert rule["ports"] == [{"port": 443, "protocol": "TCP"}], namespace
        assert all("169.254.0.0/16" in peer["ipBlock"]["except"] for peer in rule["to"]), namespace


REACH = NetworkReach(CIDR, "teal-search", (443,))


def test_only_the_resolvers_are_asked_for_names(platform: Evaluation) -> None:
    """Port 53 to anywhere is a way out for whatever a pod holds."""
    asking = [
        rule
        for one in of_type(platform, POLICY)
        for rule in one.inputs["spec"].get("egress", [])
        if any(port["port"] == 53 for port in rule["ports"])
    ]
    assert len(asking) >= 6
    for rule in asking:
        cidrs = [ipaddress.ip_network(peer["ipBlock"]["cidr"]) for peer in rule["to"]]
        assert cidrs
        assert all(cidr.is_private or cidr.is_link_local for cidr in cidrs)
        assert not any(cidr.prefixlen < 18 for cidr in cidrs)


def test_a_color_reaches_its_stores_in_their_own_networks_and_no_other_place_of_the_vpc() -> None:
    (stores,) = [rule for rule in REACH.egress() if {"port": 5432, "protocol": "TCP"} in rule["ports"]]
    assert stores["ports"] == [{"port": 5432, "protocol": "TCP"}, {"port": 6379, "protocol": "TCP"}]
    plan = addresses.subnets(CIDR)
    assert [peer["ipBlock"]["cidr"] for peer in stores["to"]] == [zone.data for zone in plan]


def test_the_stores_are_in_the_networks_that_pods_may_reach(platform: Evaluation) -> None:
    subnets = {each.name: each.inputs["cidrBlock"] for each in of_type(platform, "aws:ec2/subnet:Subnet")}
    data = {cidr for name, cidr in subnets.items() if "-data-" in name}
    (vpc,) = of_type(platform, "aws:ec2/vpc:Vpc")
    assert data <= set(addresses.data_subnets(vpc.inputs["cidrBlock"]))
    ids = {id_ for each in platform.resources for id_ in each.inputs.get("subnetIds", []) if "ubnetGroup" in each.type}
    assert len(ids) == len(data)


def test_the_networks_of_the_stores_have_no_way_out(platform: Evaluation) -> None:
    routed = {each.name for each in of_type(platform, "aws:ec2/route:Route")}
    tables = {each.name for each in of_type(platform, "aws:ec2/routeTable:RouteTable")}
    assert {name for name in tables if "-data-" in name}
    assert not any("-data-" in name for name in routed)


def test_everything_is_denied_that_no_rule_allows() -> None:
    specs = namespaces.color("blue", REACH)
    assert specs["deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    world = [
        (rule, peer)
        for rule in specs["all"]["egress"]
        for peer in rule["to"]
        if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"
    ]
    assert len(world) == 1  # Bedrock's address, on 443 alone, and never the node's own metadata
    assert world[0][0]["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert world[0][1]["ipBlock"]["except"] == ["169.254.0.0/16"]
    assert [rule["to"] for rule in specs["all"]["egress"] if {"port": 9200, "protocol": "TCP"} in rule["ports"]] == [
        [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "teal-search"}}}]
    ]
    for name, component, port in (("web", "app", 8080), ("worker", "worker", 9102)):
        (rule,) = specs[name]["ingress"]
        assert rule == {"from": [{"ipBlock": {"cidr": CIDR}}], "ports": [{"port": port, "protocol": "TCP"}]}
        assert specs[name]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == component


def test_a_color_without_models_elsewhere_and_the_operator_reach_no_internet() -> None:
    assert "0.0.0.0/0" not in json.dumps(namespaces.color("green", NetworkReach(CIDR, "teal-search")))
    assert "0.0.0.0/0" not in json.dumps(namespaces.operator_policies(REACH))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"teal:models": {}}, []),
        ({}, [443]),
        ({"teal:models": {}, "teal:alerts": {"otlp_endpoint": "http://collector.monitoring.svc:4318"}}, [4318]),
        ({"teal:alerts": {"otlp_endpoint": "http://collector.example.com"}}, [80, 443]),
        ({"teal:models": {}, "teal:network": {"egress_ports": [8000]}}, [8000]),
    ],
)
def test_pods_may_call_the_collector_of_traces_and_the_models_that_are_configured(
    values: dict[str, Any], expected: list[int]
) -> None:
    config = load_config({**stack_values("dev"), **values}, "dev", "x")
    assert outside_ports(config) == expected
