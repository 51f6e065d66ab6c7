"""Security groups of the stores: only the cluster's pods may connect, on one port."""

from __future__ import annotations

import pulumi
from pulumi_aws import ec2, vpc


def from_cluster_only(
    name: str,
    group_name: str,
    description: str,
    *,
    port: int,
    vpc_id: pulumi.Input[str],
    client_security_group_id: pulumi.Input[str],
    child: pulumi.ResourceOptions,
) -> ec2.SecurityGroup:
    """A security group that lets the clients' group in on `port` (TCP) and nothing out."""
    group = ec2.SecurityGroup(name, name=group_name, description=description, vpc_id=vpc_id, egress=[], opts=child)
    # A separate resource: inside the group it would make the data depend on the cluster,
    # which could then not be deleted without the data.
    vpc.SecurityGroupIngressRule(
        name,
        security_group_id=group.id,
        description="pods",
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        referenced_security_group_id=client_security_group_id,
        opts=child,
    )
    return group
