"""The network: what is where, what reaches what, in each stack and each NAT mode."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from infra.config.read import ConfigError
from infra.evaluation.evaluate import Evaluation, RegisteredResource
from infra.platform.network.addresses import subnets
from infra.platform.network.vpc import Network, NetworkArgs, choose_zones
from tests.unit.infra.conftest import evaluate, of_type
from tests.unit.infra.mocks import run


def _network(nat: Any, zones: int = 3) -> list[RegisteredResource]:
    args = NetworkArgs("teal-test", "eu-central-1", "10.9.0.0/16", zones, nat, 30, "arn:aws:kms:eu-central-1:123456789012:key/k")
    return run(lambda: Network("network", args))


def _kind(resources: list[RegisteredResource], kind: str) -> list[RegisteredResource]:
    return [each for each in resources if each.type == kind]


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "10.0.0.0/20", "172.20.0.0/18"])
def test_the_address_plan_never_overlaps_and_stays_inside(cidr: str) -> None:
    plan = subnets(cidr)
    networks = [ipaddress.ip_network(each) for zone in plan for each in zone]
    assert len(networks) == 9
    assert all(network.subnet_of(ipaddress.ip_network(cidr)) for network in networks)  # type: ignore[arg-type]
    assert not any(a.overlaps(b) for i, a in enumerate(networks) for b in networks[i + 1 :])
    assert all(network.prefixlen <= 28 for network in networks)  # AWS's smallest subnet


def test_a_region_with_too_few_zones_is_refused_with_its_name_the_key_and_what_was_found() -> None:
    with pytest.raises(
        ConfigError, match=r"teal:network\.zones: us-west-1 has 2 usable zones \(us-west-1a, us-west-1c\), and 3 are"
    ):
        choose_zones(["us-west-1c", "us-west-1a"], 3, "us-west-1")
    assert choose_zones(["c", "a", "b"], 2, "x") == ["a", "b"]
    with pytest.raises(ConfigError, match="eu-central-1 has 3 usable zones"):
        _network("single", zones=4)


@pytest.mark.parametrize(("nat", "gateways", "routes"), [("single", 1, 6), ("per-az", 3, 6)])
def test_each_nat_mode_has_its_gateways_and_routes(nat: str, gateways: int, routes: int) -> None:
    resources = _network(nat)
    found = _kind(resources, "aws:ec2/natGateway:NatGateway")
    assert len(found) == len(_kind(resources, "aws:ec2/eip:Eip")) == gateways
    assert len(_kind(resources, "aws:ec2/route:Route")) == routes
    private = [each for each in _kind(resources, "aws:ec2/route:Route") if "natGatewayId" in each.inputs]
    used = {each.inputs["natGatewayId"] for each in private}
    assert len(used) == gateways  # per-az: no zone depends on another's


@pytest.mark.parametrize("nat", ["single", "per-az"])
def test_s3_is_reached_without_nat_from_every_private_subnet(nat: str) -> None:
    (gateway,) = [
        each for each in _kind(_network(nat), "aws:ec2/vpcEndpoint:VpcEndpoint") if each.inputs["vpcEndpointType"] == "Gateway"
    ]
    assert gateway.inputs["serviceName"] == "com.amazonaws.eu-central-1.s3"
    assert len(gateway.inputs["routeTableIds"]) == 3


def test_a_nat_gateway_waits_for_the_way_out_and_goes_before_it() -> None:
    resources = _network("single")
    (gateway,) = _kind(resources, "aws:ec2/natGateway:NatGateway")
    (first,) = [each for each in _kind(resources, "aws:ec2/route:Route") if each.name == "network-public-0"]
    assert first.urn in gateway.depends_on


def test_all_traffic_is_logged_encrypted_and_for_a_set_time(platform: Evaluation) -> None:
    (log,) = of_type(platform, "aws:ec2/flowLog:FlowLog")
    assert log.inputs["trafficType"] == "ALL"
    (group,) = [each for each in of_type(platform, "aws:cloudwatch/logGroup:LogGroup") if each.name == "network-flow"]
    assert group.inputs["kmsKeyId"]
    assert group.inputs["retentionInDays"] in (7, 14, 30, 90, 180, 365)


def test_no_subnet_gives_out_public_addresses_and_the_default_group_lets_nothing_through(platform: Evaluation) -> None:
    assert not any(each.inputs["mapPublicIpOnLaunch"] for each in of_type(platform, "aws:ec2/subnet:Subnet"))
    (group,) = of_type(platform, "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert (group.inputs["ingress"], group.inputs["egress"]) == ([], [])


def test_the_network_stands_in_as_many_zones_as_the_file_says() -> None:
    for stack, zones, gateways in (("dev", 2, 1), ("staging", 3, 1), ("prod", 3, 3)):
        result = evaluate("platform", stack)  # type: ignore[arg-type]
        found = {each.inputs["availabilityZone"] for each in of_type(result, "aws:ec2/subnet:Subnet")}
        assert len(found) == zones
        assert len(of_type(result, "aws:ec2/natGateway:NatGateway")) == gateways
