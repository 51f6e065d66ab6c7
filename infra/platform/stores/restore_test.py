"""A restore of the database that nobody has to start: AWS Backup restores the newest recovery point, sees that it starts, and deletes it.

Sources: hashicorp/terraform-provider-aws, website/docs/r/backup_restore_testing_plan and _selection; the guide's page "Restore testing",
which says how a restored instance is named and that AWS Backup deletes it by its tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import backup, ec2

from infra.config.sections import RestoreTestOften
from infra.platform.boundary import RESTORE_TEST_INSTANCES
from infra.platform.service_role import service_role

SCHEDULES: Final[dict[RestoreTestOften, str]] = {
    "weekly": "cron(0 8 ? * MON *)",  # UTC, in working hours of most: a failure is seen the same day
    "monthly": "cron(0 8 2 * ? *)",  # the day after the monthly recovery point
}
START_HOURS: Final = 1
WINDOW_DAYS: Final = 7  # a recovery point that is older than the daily ones of a week would hide that they fail
KEPT_HOURS: Final = 1  # the shortest; AWS Backup only sees that the instance starts, and no validation of ours runs


@dataclass(frozen=True)
class RestoreTestArgs:
    """`database_arns`: the instances whose recovery points are restored. The names are of what the restored instance gets."""

    prefix: str
    region: str
    account_id: str
    often: RestoreTestOften
    vault_arn: pulumi.Input[str]
    database_arns: Sequence[pulumi.Input[str]]
    instance_class: str
    subnet_group: pulumi.Input[str]
    parameter_group: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]


class RestoreTest(pulumi.ComponentResource):
    """The plan, its selection, a role that can restore and can delete nothing, and a security group that lets nobody in or out.

    Cost: an instance of the database's class for some hours at each test, and AWS Backup's fee for a test.
    """

    def __init__(self, name: str, args: RestoreTestArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:RestoreTest", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        closed = ec2.SecurityGroup(
            name,
            name=f"{args.prefix}-restore-test",
            description="a database restored to test a recovery point: nobody connects",
            vpc_id=args.vpc_id,
            ingress=[],
            egress=[],
            opts=child,
        )
        role, rights = service_role(name, f"{args.prefix}-restore-test", "backup.amazonaws.com", statements(args), child)
        plan = backup.RestoreTestingPlan(
            name,
            name=args.prefix.replace("-", "_"),  # letters, digits and underscores only
            schedule_expression=SCHEDULES[args.often],
            start_window_hours=START_HOURS,
            recovery_point_selection={
                "algorithm": "LATEST_WITHIN_WINDOW",
                "include_vaults": [args.vault_arn],
                "recovery_point_types": ["SNAPSHOT"],
                "selection_window_days": WINDOW_DAYS,
            },
            opts=child,
        )
        backup.RestoreTestingSelection(
            name,
            name="database",
            restore_testing_plan_name=plan.name,
            protected_resource_type="RDS",
            protected_resource_arns=list(args.database_arns),
            iam_role_arn=role.arn,
            validation_window_hours=KEPT_HOURS,
            # What AWS Backup infers otherwise is the account's default network, which may not exist. The keys: three public
            # programs that restore RDS so (two in CDK, one in Terraform).
            restore_metadata_overrides={
                "dbInstanceClass": args.instance_class,
                "dbSubnetGroupName": args.subnet_group,
                "dbParameterGroupName": args.parameter_group,
                "vpcSecurityGroupIds": pulumi.Output.json_dumps([closed.id]),
                "multiAz": "false",
                "publiclyAccessible": "false",
            },
            # An update of the ARNs changes nothing in AWS (hashicorp/terraform-provider-aws issue 48316): after a restore of the
            # database the old instance would be tested for ever.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[rights], replace_on_changes=["protectedResourceArns"], delete_before_replace=True
            ),
        )
        self.register_outputs({})


def statements(args: RestoreTestArgs) -> list[dict[str, Any]]:
    """What the role may do: restore a recovery point of ours to an instance of the tests' name. It can delete nothing: AWS Backup
    deletes with its own service-linked role, and only what has the tag of a test (AWSServiceRolePolicyForBackupRestoreTesting).

    Least of what the managed policy AWSBackupServiceRolePolicyForRestores grants for RDS, which names all resources.
    """
    at = f"arn:aws:rds:{args.region}:{args.account_id}"
    restored, points = f"{at}:db:{RESTORE_TEST_INSTANCES}", f"{at}:snapshot:awsbackup:*"
    group = [f"{at}:subgrp:{args.prefix}-*", f"{at}:pg:{args.prefix}-*", f"{at}:og:default:*"]
    return [
        _allow("LookAtInstances", ["rds:DescribeDBInstances", "rds:ListTagsForResource"], [*args.database_arns, restored]),
        _allow("LookAtPoints", ["rds:DescribeDBSnapshots", "rds:ListTagsForResource"], [points]),
        _allow("Restore", ["rds:RestoreDBInstanceFromDBSnapshot"], [points, restored, *group]),
        _allow("Start", ["rds:CreateDBInstance", "rds:AddTagsToResource"], [restored, *group]),
        _allow(
            "Key",
            ["kms:DescribeKey", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"],
            [args.kms_key_arn],
        ),
        {
            **_allow("Grant", ["kms:CreateGrant"], [args.kms_key_arn]),
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
    ]


def _allow(sid: str, actions: Sequence[str], resources: Sequence[pulumi.Input[str]]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
