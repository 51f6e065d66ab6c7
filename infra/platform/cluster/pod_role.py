"""A role for one service account of the cluster, by EKS Pod Identity: no key is stored, and no other pod can take it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import eks, iam


@dataclass(frozen=True)
class PodRole:
    """A role and the resources that give it its rights.
    Pods must wait for both, because a pod that starts before the rights exist is refused."""

    role: iam.Role
    rights: iam.RolePolicy

    @property
    def arn(self) -> pulumi.Output[str]:
        """The role's ARN."""
        return self.role.arn


def pod_trust(cluster_arn: str) -> str:
    """The trust policy: EKS may assume the role for pods of this cluster only."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "pods.eks.amazonaws.com"},
                    "Action": ["sts:AssumeRole", "sts:TagSession"],  # Pod Identity adds cluster, namespace and account as tags
                    "Condition": {"ArnEquals": {"aws:SourceArn": cluster_arn}},
                }
            ],
        }
    )


def pod_role(
    name: str,
    physical_name: str,
    cluster_arn: pulumi.Input[str],
    statements: Sequence[Mapping[str, Any]],
    parent: pulumi.Resource,
) -> PodRole:
    """The role with its one inline policy. `statements` may hold outputs; every one names its resources."""
    child = pulumi.ResourceOptions(parent=parent)
    role = iam.Role(
        name,
        name=physical_name,
        assume_role_policy=pulumi.Output.from_input(cluster_arn).apply(pod_trust),
        opts=child,
    )
    document: dict[str, Any] = {"Version": "2012-10-17", "Statement": list(statements)}
    rights = iam.RolePolicy(name, role=role.id, policy=pulumi.Output.json_dumps(document), opts=child)
    return PodRole(role, rights)


def secret_statements(secret_arns: Sequence[pulumi.Input[str]], kms_key_arn: pulumi.Input[str]) -> list[dict[str, Any]]:
    """Read these secrets, and decrypt what Secrets Manager encrypted with this key; nothing else with it."""
    return [
        {
            "Sid": "ReadSecrets",
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
            "Resource": list(secret_arns),
        },
        {
            "Sid": "DecryptSecrets",
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": kms_key_arn,
            "Condition": {"StringLike": {"kms:ViaService": "secretsmanager.*.amazonaws.com"}},
        },
    ]


def associate(
    name: str,
    cluster_name: pulumi.Input[str],
    namespace: str,
    service_account: str,
    role: PodRole,
    parent: pulumi.Resource,
) -> eks.PodIdentityAssociation:
    """Associate the role with the service account. Existing pods do not get it, so create this before them."""
    return eks.PodIdentityAssociation(
        name,
        cluster_name=cluster_name,
        namespace=namespace,
        service_account=service_account,
        role_arn=role.arn,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[role.rights]),
    )
