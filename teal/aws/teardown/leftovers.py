"""Lists the AWS resources that are left of an environment.
They are found by tag, so resources that Pulumi does not know are found too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import ClientError

from teal.aws.names import STACK_TAG, STATE_TAG, prefix
from teal.aws.session import Aws, is_missing, translate_aws_errors

_CLUSTER_TAG: Final = "eks:eks-cluster-name"  # on the machines, volumes and load balancers that Auto Mode makes
# Kinds that are free of charge while unused. Any other kind is reported as billable: a false report is better than a missed one.
_FREE: Final = (
    "ec2:vpc", "ec2:subnet", "ec2:security-group", "ec2:security-group-rule", "ec2:route-table", "ec2:internet-gateway",
    "ec2:network-acl", "ec2:dhcp-options", "ec2:launch-template", "ec2:network-interface", "iam:role", "iam:policy",
    "iam:instance-profile", "iam:oidc-provider", "rds:subgrp", "rds:pg", "elasticache:subnetgroup", "elasticache:parametergroup",
    "elasticloadbalancing:targetgroup", "eks:podidentityassociation", "eks:access-entry", "sns:", "events:rule",
    "backup:backup-plan", "backup:restore-testing-plan",
)  # fmt: skip
_HOLDS_DATA: Final = ("s3:", "rds:db", "rds:snapshot", "ec2:volume", "ec2:snapshot", "backup:", "kms:key", "ecr:repository",
                      "aps:workspace")  # fmt: skip


@dataclass(frozen=True, slots=True)
class RemainingResource:
    """One resource that is still there."""

    arn: str
    kind: str
    billable: bool
    holds_data: bool
    state_of_pulumi: bool

    def fields(self) -> dict[str, object]:
        return {"arn": self.arn, "kind": self.kind, "billable": self.billable, "holds_data": self.holds_data,
                "state_of_pulumi": self.state_of_pulumi}  # fmt: skip


def remaining_resources(aws: Aws, stack: str) -> tuple[RemainingResource, ...]:
    """All resources with this environment's tag. AWS may still list what was deleted within the last hour, so machines, keys and
    gateways are asked for their own state."""
    found: dict[str, Mapping[str, str]] = {}
    with translate_aws_errors("Asking AWS what is left"):
        for key, value in ((STACK_TAG, stack), (_CLUSTER_TAG, prefix(stack))):
            pages = aws.tagging.get_paginator("get_resources").paginate(TagFilters=[{"Key": key, "Values": [value]}])
            for page in pages:
                for row in page["ResourceTagMappingList"]:
                    found[row["ResourceARN"]] = {tag["Key"]: tag["Value"] for tag in row.get("Tags", [])}
        return tuple(sorted(_judged(aws, found), key=lambda one: (not one.billable, one.arn)))


def kind_of(arn: str) -> str:
    """`service:type` of an ARN, such as `ec2:volume`; `s3:` for a bucket, whose ARN has no type."""
    service, rest = arn.split(":", 5)[2], arn.split(":", 5)[5]
    separator = "/" if "/" in rest and (":" not in rest or rest.index("/") < rest.index(":")) else ":"
    head, found, _ = rest.partition(separator)
    return f"{service}:{head if found else ''}"


def _judged(aws: Aws, found: Mapping[str, Mapping[str, str]]) -> Iterator[RemainingResource]:
    for arn, tags in found.items():
        kind = kind_of(arn)
        if _gone(aws, kind, arn):
            continue
        state = tags.get(STATE_TAG) == "true"
        yield RemainingResource(arn, kind, kind not in _FREE, any(kind.startswith(prefix) for prefix in _HOLDS_DATA), state)


def _gone(aws: Aws, kind: str, arn: str) -> bool:
    """Whether the resource is deleted, or scheduled to be, although its tags are still listed."""
    name = arn.rsplit("/", 1)[-1]
    try:
        if kind == "kms:key":
            return aws.kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "PendingDeletion"
        if kind == "ec2:natgateway":
            answer = aws.connect("ec2").describe_nat_gateways(NatGatewayIds=[name])
            return all(row["State"] == "deleted" for row in answer["NatGateways"])
        if kind == "ec2:instance":
            answer = aws.connect("ec2").describe_instances(InstanceIds=[name])
            rows = [row for reservation in answer["Reservations"] for row in reservation["Instances"]]
            return all(row["State"]["Name"] == "terminated" for row in rows)
    except ClientError as error:
        if is_missing(error):
            return True
        raise
    return False
