"""The permissions boundary of the program's roles: a role can do no more than this, whatever policy it gets.
It allows only what these roles need.

The boundary is a policy of the stack. GitHub's `up` role must give it to each role that it makes and cannot change it; only a
person can, by `pulumi up`, as with the roles of GitHub's workflows.
So a role that `up` makes and assumes can do nothing that `up` could not reach anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pulumi
from pulumi_aws import iam

RESTORE_TEST_INSTANCES: Final = "awsbackup-restore-test*"  # how AWS Backup names what it restores to test a recovery point

# Roles without the boundary, each with the reason.
# `up` can neither make them nor give them rights; a person does, with the first `pulumi up`.
UNBOUNDED: Final = {
    "cluster-control": "Auto Mode puts roles into instance profiles and passes them to its machines (AmazonEKSComputePolicy version 5)",
    "github-preview": "made by a person, closed to `up` by name",
    "github-build": "made by a person, closed to `up` by name",
    "github-release": "made by a person, closed to `up` by name",
    "github-up": "made by a person, closed to `up` by name",
}
# The services to which `up` may pass a role: those that the program's roles trust.
PASSED_TO: Final = (
    "backup.amazonaws.com",
    "ec2.amazonaws.com",
    "eks.amazonaws.com",
    "lambda.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "pods.eks.amazonaws.com",
    "scheduler.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)
# RDS gives the secret of a database's password a random name and this tag, which names the database. Public infrastructure code
# that works on AWS relies on it; AWS' own page was not opened, and nothing here ran against AWS.
DATABASE_TAG: Final = "aws:ResourceTag/aws:rds:primaryDBInstanceArn"


def arn(account_id: str, prefix: str) -> str:
    """The boundary's ARN; it can be computed before the boundary exists."""
    return f"arn:aws:iam::{account_id}:policy/{prefix}-boundary"


def boundary_statements(
    prefix: str,
    region: str,
    account_id: str,
    state_bucket: str,
    key_arns: Sequence[pulumi.Input[str]],
    copies: tuple[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The statements of the boundary. `copies`: the vault in another region or account that gets the database's recovery points,
    and its key. tests/unit/infra/platform/test_boundary.py compares the roles' AWS managed policies with
    it, action by action."""
    at = f"{region}:{account_id}"
    return [
        _allow(["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"], f"arn:aws:secretsmanager:{at}:secret:{prefix}/*"),
        {
            **_allow(["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"], f"arn:aws:secretsmanager:{at}:secret:rds!db-*"),
            "Condition": {"StringLike": {DATABASE_TAG: f"arn:aws:rds:{at}:db:{prefix}*"}},
        },
        _allow(["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey", "kms:CreateGrant"], key_arns),
        _allow(["bedrock:InvokeModel*"], ["arn:aws:bedrock:*::foundation-model/*", f"arn:aws:bedrock:*:{account_id}:inference-profile/*"]),
        # Elasticsearch's snapshots, and the release record, which the watchdog writes when it changes the shares of the rule.
        _allow(["s3:List*", "s3:Get*", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
               [f"arn:aws:s3:::{prefix}-{one}*" for one in ("search-snapshots", "releases")]),
        _allow(["sns:Publish"], f"arn:aws:sns:{at}:{prefix}-alerts"),
        _allow(["elasticloadbalancing:ModifyRule"], f"arn:aws:elasticloadbalancing:{at}:listener-rule/app/{prefix}*"),
        # RDS writes its machines' metrics to log groups of its own name.
        _allow(["logs:Create*", "logs:Put*", "logs:Describe*", "logs:GetLogEvents"],
               [f"arn:aws:logs:{at}:log-group:*{prefix}*", f"arn:aws:logs:{at}:log-group:RDS*"]),
        _allow(["rds:*Snapshot*", "rds:DescribeDBInstances", "rds:ListTagsForResource", "rds:AddTagsToResource"],
               [f"arn:aws:rds:{at}:db:{prefix}*", f"arn:aws:rds:{at}:snapshot:awsbackup:*"]),
        _allow(["rds:RestoreDBInstanceFromDBSnapshot", "rds:CreateDBInstance", "rds:AddTagsToResource", "rds:DescribeDBInstances", "rds:ListTagsForResource"],
               [f"arn:aws:rds:{at}:{one}" for one in (f"db:{RESTORE_TEST_INSTANCES}", f"subgrp:{prefix}-*", f"pg:{prefix}-*", "og:default:*")]),
        _allow(["backup:DescribeBackupVault", "backup:CopyIntoBackupVault", *(["backup:CopyFromBackupVault"] if copies else [])],
               [f"arn:aws:backup:{at}:*{prefix}*", *([copies[0]] if copies else [])]),
        *([_allow(["kms:DescribeKey", "kms:CreateGrant"], copies[1])] if copies else []),
        # A machine pulls the service's image and those of AWS' add-ons, which are in accounts of AWS.
        _allow(["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"], "arn:aws:ecr:*:*:repository/*"),
        # Actions without a resource, or that only describe.
        _allow(["ecr:GetAuthorizationToken", "eks-auth:AssumeRoleForPodIdentity", "ec2:Describe*", "logs:DescribeLogGroups", "cloudwatch:PutMetricData", "cloudwatch:GetMetricData", "elasticloadbalancing:DescribeRules",
                "xray:Put*", "xray:GetSampling*"], "*"),
        {"Effect": "Deny", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{state_bucket}", f"arn:aws:s3:::{state_bucket}/*"]},
    ]  # fmt: skip


def boundary_policy(name: str, prefix: str, found: Sequence[dict[str, Any]], opts: pulumi.ResourceOptions) -> iam.Policy:
    """Create the boundary policy."""
    document: dict[str, Any] = {"Version": "2012-10-17", "Statement": list(found)}
    return iam.Policy(
        name,
        name=f"{prefix}-boundary",
        description="The most that a role of this stack may come to",
        policy=pulumi.Output.json_dumps(document),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True)),
    )


def binding(boundary: iam.Policy, boundary_arn: str) -> pulumi.ResourceTransformation:
    """A transformation that gives every role the boundary, so that no component can forget it;
    roles in `UNBOUNDED` are left out."""

    def bind(made: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if made.type_ != "aws:iam/role:Role" or made.name in UNBOUNDED:
            return None
        props = {**made.props, "permissions_boundary": boundary_arn}
        return pulumi.ResourceTransformationResult(
            props, pulumi.ResourceOptions.merge(made.opts, pulumi.ResourceOptions(depends_on=[boundary]))
        )

    return bind


def _allow(actions: Sequence[str], resources: pulumi.Input[str] | Sequence[pulumi.Input[str]]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}
