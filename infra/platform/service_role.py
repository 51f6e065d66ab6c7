"""A role that one service of AWS assumes to act for the stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import iam


def service_role(
    name: str, physical_name: str, service: str, statements: Sequence[Mapping[str, Any]], opts: pulumi.ResourceOptions
) -> tuple[iam.Role, iam.RolePolicy]:
    """The role with its one inline policy; what uses the role depends on both. `service`: its principal, such as
    backup.amazonaws.com. `statements` may hold outputs; every one names its resources.

    The trust has no condition on `aws:SourceAccount`, nor has that of AWS Backup's default role: no source says that AWS Backup sends it
    when it assumes its role, and a condition on a key that is not sent would refuse every call.
    """
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    role = iam.Role(
        name,
        name=physical_name,
        assume_role_policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [trust]}),
        opts=opts,
    )
    document: dict[str, Any] = {"Version": "2012-10-17", "Statement": list(statements)}
    return role, iam.RolePolicy(name, role=role.id, policy=pulumi.Output.json_dumps(document), opts=opts)
