"""The VPC: public subnets for the load balancer, private ones for nodes and pods, and subnets without any way out for the stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
from pulumi_aws import cloudwatch, ec2, get_availability_zones, iam

from infra.config.read import settings_error
from infra.config.rules import Refusal
from infra.platform.network.addresses import subnets


@dataclass(frozen=True)
class NetworkArgs:
    """`zones` 2 or 3; flow logs are kept `flow_log_days` days."""

    prefix: str
    region: str
    cidr: str
    zones: int
    nat: Literal["single", "per-az"]
    flow_log_days: int
    logs_key_arn: pulumi.Input[str]


class Network(pulumi.ComponentResource):
    """The network. Private subnets cannot be reached from outside; S3 is reached without NAT.

    Cost: each NAT gateway by hour and GB, flow logs by GB.
    """

    vpc_id: pulumi.Output[str]
    cidr: str
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]
    data_subnet_ids: list[pulumi.Output[str]]
    zones: list[str]
    egress: list[pulumi.Resource]  # resources that the internet and AWS's APIs can be reached through

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Network", name, None, opts)
        self._args, self._child = args, pulumi.ResourceOptions(parent=self)
        found = get_availability_zones(
            state="available",
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],  # leaves out local zones
            opts=pulumi.InvokeOptions(parent=self),
        )
        self.zones = zones = choose_zones(found.names, args.zones, args.region)
        vpc = ec2.Vpc(
            name, cidr_block=args.cidr, enable_dns_support=True, enable_dns_hostnames=True, tags=self._named(""), opts=self._child
        )
        # The default security group of a VPC lets its members communicate; it is emptied here, so that it allows nothing.
        ec2.DefaultSecurityGroup(name, vpc_id=vpc.id, ingress=[], egress=[], tags=self._named("-unused"), opts=self._child)
        self.vpc_id, self.cidr = vpc.id, args.cidr
        public: list[ec2.Subnet] = []
        private: list[ec2.Subnet] = []
        data: list[ec2.Subnet] = []
        for zone, plan in zip(zones, subnets(args.cidr)[: len(zones)], strict=True):
            public.append(self._subnet(f"{name}-public-{zone[-1]}", zone, plan.public, {}))
            private.append(
                self._subnet(f"{name}-private-{zone[-1]}", zone, plan.private, {"kubernetes.io/role/internal-elb": "1"})
            )
            data.append(self._subnet(f"{name}-data-{zone[-1]}", zone, plan.data, {}))
        self.public_subnet_ids = [subnet.id for subnet in public]
        self.private_subnet_ids = [subnet.id for subnet in private]
        self.data_subnet_ids = [subnet.id for subnet in data]
        for number, subnet in enumerate(data):
            self._table(f"{name}-data-{number}", subnet)  # without any route: stores can only answer
        self.egress = []
        private_tables = self._routes(name, public, private)
        ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in private_tables],
            tags=self._named("-s3"),
            opts=self._child,
        )
        self._flow_logs(name)
        self.register_outputs({"vpc_id": self.vpc_id})

    def _named(self, suffix: str) -> dict[str, str]:
        return {"Name": f"{self._args.prefix}{suffix}"}

    def _subnet(self, name: str, zone: str, cidr: str, tags: dict[str, str]) -> ec2.Subnet:
        return ec2.Subnet(
            name,
            vpc_id=self.vpc_id,
            availability_zone=zone,
            cidr_block=cidr,
            map_public_ip_on_launch=False,
            tags={**self._named(f"-{name}"), **tags},
            opts=self._child,
        )

    def _table(self, name: str, subnet: ec2.Subnet) -> ec2.RouteTable:
        table = ec2.RouteTable(name, vpc_id=self.vpc_id, tags=self._named(f"-{name}"), opts=self._child)
        ec2.RouteTableAssociation(name, route_table_id=table.id, subnet_id=subnet.id, opts=self._child)
        return table

    def _routes(self, name: str, public: list[ec2.Subnet], private: list[ec2.Subnet]) -> list[ec2.RouteTable]:
        gateway = ec2.InternetGateway(name, vpc_id=self.vpc_id, tags=self._named(""), opts=self._child)
        nats: list[ec2.NatGateway] = []
        for number, subnet in enumerate(public):
            table = self._table(f"{name}-public-{number}", subnet)
            out = ec2.Route(
                f"{name}-public-{number}",
                route_table_id=table.id,
                destination_cidr_block="0.0.0.0/0",
                gateway_id=gateway.id,
                opts=self._child,
            )
            self.egress.append(out)
            if self._args.nat == "per-az" or number == 0:
                nats.append(self._nat(f"{name}-{number}", subnet, out))
        tables = [self._table(f"{name}-private-{number}", subnet) for number, subnet in enumerate(private)]
        for number, table in enumerate(tables):
            route = ec2.Route(
                f"{name}-private-{number}",
                route_table_id=table.id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=nats[number % len(nats)].id,
                opts=self._child,
            )
            self.egress.append(route)
        return tables

    def _nat(self, name: str, subnet: ec2.Subnet, out: ec2.Route) -> ec2.NatGateway:
        address = ec2.Eip(name, domain="vpc", tags=self._named(f"-{name}"), opts=self._child)
        # It needs the egress when it starts and until it is deleted.
        return ec2.NatGateway(
            name,
            subnet_id=subnet.id,
            allocation_id=address.id,
            tags=self._named(f"-{name}"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[out]),
        )

    def _flow_logs(self, name: str) -> None:
        logs = cloudwatch.LogGroup(
            f"{name}-flow",
            name=f"/{self._args.prefix}/flow",
            retention_in_days=self._args.flow_log_days,
            kms_key_id=self._args.logs_key_arn,
            opts=self._child,
        )
        role = iam.Role(
            f"{name}-flow",
            name=f"{self._args.prefix}-flow-logs",
            assume_role_policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Principal": {"Service": "vpc-flow-logs.amazonaws.com"}, "Action": "sts:AssumeRole"}
                    ],
                }
            ),
            opts=self._child,
        )
        write = {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            "Resource": logs.arn.apply(lambda arn: f"{arn}:*"),
        }
        allowed = iam.RolePolicy(
            f"{name}-flow",
            role=role.name,
            policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [write]}),
            opts=self._child,
        )
        ec2.FlowLog(
            name,
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=logs.arn,
            iam_role_arn=role.arn,
            tags=self._named(""),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )


def choose_zones(found: Sequence[str], wanted: int, region: str) -> list[str]:
    """The first zones by name, the same at each run. Raises ConfigError when the region has fewer than `wanted`."""
    if len(found) < wanted:
        problem = f"{region} has {len(found)} usable zones ({', '.join(sorted(found)) or 'none'}), and {wanted} are asked for"
        raise settings_error(
            [Refusal("network.zones", problem, "write as many as it has, at least 2, or choose another aws:region")]
        )
    return sorted(found)[:wanted]
