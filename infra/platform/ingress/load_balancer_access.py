"""The load balancer's security group and the bucket for its access logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import ec2, vpc

from contract.http import POD_PORT
from infra.platform.stores.bucket import PrivateBucket, PrivateBucketArgs


@dataclass(frozen=True)
class AccessArgs:
    """`sources`: the networks that may connect; None: all. `log_days`: retention of the logs."""

    prefix: str
    region: str
    account_id: str
    vpc_id: pulumi.Input[str]
    sources: Sequence[pulumi.Input[str]] | None
    cluster_security_group_id: pulumi.Input[str]
    log_days: int


def security_group(name: str, args: AccessArgs, parent: pulumi.Resource) -> pulumi.Output[str]:
    """The load balancer's group: open to its sources on 80 and 443, and to the pods' port of the cluster; returns its id."""
    child = pulumi.ResourceOptions(parent=parent)
    group = ec2.SecurityGroup(
        name,
        name=f"{args.prefix}-alb",
        description="HTTPS from outside to the load balancer",
        vpc_id=args.vpc_id,
        tags={"Name": f"{args.prefix}-alb"},
        opts=child,
    )
    sources = ["0.0.0.0/0"] if args.sources is None else args.sources
    for number, source in enumerate(sources):
        for port in (80, 443):  # 80 only redirects to 443
            vpc.SecurityGroupIngressRule(
                f"{name}-{port}-{number}",
                security_group_id=group.id,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                cidr_ipv4=source,
                opts=child,
            )
    # Auto Mode opens no port for a target group that it did not make, so both sides are opened here, for the pods' port only.
    vpc.SecurityGroupEgressRule(
        f"{name}-pods",
        security_group_id=group.id,
        ip_protocol="tcp",
        from_port=POD_PORT,
        to_port=POD_PORT,
        referenced_security_group_id=args.cluster_security_group_id,
        opts=child,
    )
    vpc.SecurityGroupIngressRule(
        f"{name}-pods",
        security_group_id=args.cluster_security_group_id,
        ip_protocol="tcp",
        from_port=POD_PORT,
        to_port=POD_PORT,
        referenced_security_group_id=group.id,
        description="Requests and health checks from the load balancer",
        opts=child,
    )
    return group.id


def access_logs(name: str, args: AccessArgs, parent: pulumi.Resource) -> PrivateBucket:
    """A private bucket that Elastic Load Balancing alone may write to, for this account's load balancers."""
    bucket = f"{args.prefix}-logs-{args.account_id}-{args.region}"  # a bucket's name has 63 characters at most
    write = {
        "Sid": "ElbWrites",
        "Effect": "Allow",
        "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/AWSLogs/{args.account_id}/*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": f"arn:aws:elasticloadbalancing:{args.region}:{args.account_id}:loadbalancer/*"}
        },
    }
    return PrivateBucket(
        f"{name}-logs",
        PrivateBucketArgs(bucket=bucket, kms_key_arn=None, expire_days=args.log_days, versioned=False, statements=[write]),
        pulumi.ResourceOptions(parent=parent),
    )
