"""Backups that survive a mistake in the database's own settings: AWS Backup with a separate vault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import backup

from infra.config.sections import BackupCopyConfig
from infra.platform.service_role import service_role

TAG_KEY: Final = "teal:backup"
# The kinds of resources that the plan may back up. Search has its own snapshots, and the cache needs none.
SCHEDULE: Final = "cron(0 1 * * ? *)"  # 01:00 UTC, an hour before RDS's own window
START_MINUTES: Final = 60  # the shortest that AWS Backup accepts
COMPLETION_MINUTES: Final = 360
DAILY_DAYS: Final = 35
MONTHLY_DAYS: Final = 365
MONTHLY: Final = "cron(0 1 1 * ? *)"


@dataclass(frozen=True)
class BackupArgs:
    """`database_arns`: the instances to snapshot, a restored one's source among them. `copy_to`: a vault elsewhere that gets each
    recovery point too."""

    prefix: str
    region: str
    account_id: pulumi.Input[str]
    database_arns: Sequence[pulumi.Input[str]]
    kms_key_arn: pulumi.Input[str]
    keep_days: int = DAILY_DAYS
    copy_to: BackupCopyConfig | None = None


class Backup(pulumi.ComponentResource):
    """A daily and a monthly recovery point of this stack's databases, in a protected, encrypted vault.

    Cost: storage of the recovery points; the first is complete, later ones are incremental.
    """

    vault_name: pulumi.Output[str]
    vault_arn: pulumi.Output[str]
    plan_id: pulumi.Output[str]
    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: BackupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Backup", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        vault = backup.Vault(
            name,
            name=args.prefix,
            kms_key_arn=args.kms_key_arn,
            force_destroy=False,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        # Governance mode: a recovery point cannot be deleted early, except by a role that may remove the lock (as
        # `teal destroy --delete-data` does). A lock in compliance mode could not be removed even by AWS,
        # and would keep a trial environment for ever.
        lock = backup.VaultLockConfiguration(name, backup_vault_name=vault.name, min_retention_days=DAILY_DAYS, opts=child)
        plan = backup.Plan(
            name,
            name=args.prefix,
            rules=[
                _rule("daily", vault.name, SCHEDULE, args.keep_days, args.copy_to),
                _rule("monthly", vault.name, MONTHLY, MONTHLY_DAYS, args.copy_to),
            ],
            opts=child,
        )
        role, rights = service_role(name, f"{args.prefix}-backup", "backup.amazonaws.com", statements(args, vault.arn), child)
        backup.Selection(
            name,
            name=args.prefix,
            plan_id=plan.id,
            iam_role_arn=role.arn,
            # Selected by ARN: a selection by tag would also match databases of other stacks, for which the role has no rights.
            resources=list(args.database_arns),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[rights, lock]),
        )
        self.vault_name, self.vault_arn, self.plan_id, self.role_arn = vault.name, vault.arn, plan.id, role.arn
        self.register_outputs({"vault_arn": self.vault_arn, "plan_id": self.plan_id})


def _rule(
    name: str, vault: pulumi.Input[str], schedule: str, days: int, copy: BackupCopyConfig | None
) -> backup.PlanRuleArgsDict:
    rule: backup.PlanRuleArgsDict = {
        "rule_name": name,
        "target_vault_name": vault,
        "schedule": schedule,
        "start_window": START_MINUTES,
        "completion_window": COMPLETION_MINUTES,
        "lifecycle": {"delete_after": days},
        "recovery_point_tags": {TAG_KEY: "recovery-point"},
    }
    if copy is not None:
        rule["copy_actions"] = [{"destination_vault_arn": copy.vault_arn, "lifecycle": {"delete_after": copy.keep_days}}]
    return rule


def statements(args: BackupArgs, vault_arn: pulumi.Input[str]) -> list[dict[str, Any]]:
    """What the role may do: snapshot these databases into this vault. It cannot restore and cannot delete a database.

    Least of what the managed policy AWSBackupServiceRolePolicyForBackup grants for RDS, which names all resources.
    """
    account = pulumi.Output.from_input(args.account_id)
    snapshots = account.apply(lambda known: f"arn:aws:rds:{args.region}:{known}:snapshot:awsbackup:*")
    return [
        {
            "Sid": "Snapshot",
            "Effect": "Allow",
            "Action": ["rds:CreateDBSnapshot", "rds:DescribeDBInstances", "rds:ListTagsForResource", "rds:AddTagsToResource"],
            "Resource": [*args.database_arns, snapshots],
        },
        {
            "Sid": "OwnSnapshots",
            "Effect": "Allow",
            "Action": ["rds:DescribeDBSnapshots", "rds:CopyDBSnapshot", "rds:ModifyDBSnapshotAttribute", "rds:DeleteDBSnapshot"],
            "Resource": [*args.database_arns, snapshots],
        },
        {
            "Sid": "Vault",
            "Effect": "Allow",
            "Action": ["backup:DescribeBackupVault", "backup:CopyIntoBackupVault"],
            "Resource": vault_arn,
        },
        {
            "Sid": "Key",
            "Effect": "Allow",
            "Action": ["kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": args.kms_key_arn,
        },
        *(_copying(args.copy_to, vault_arn) if args.copy_to else []),
    ]


def _copying(copy: BackupCopyConfig, vault_arn: pulumi.Input[str]) -> list[dict[str, Any]]:
    """What copying to another vault needs beside it. The managed policy grants the same on all vaults and keys."""
    return [
        {"Sid": "CopyFrom", "Effect": "Allow", "Action": ["backup:CopyFromBackupVault"], "Resource": vault_arn},
        {
            "Sid": "CopyTo",
            "Effect": "Allow",
            "Action": ["backup:DescribeBackupVault", "backup:CopyIntoBackupVault"],
            "Resource": copy.vault_arn,
        },
        {"Sid": "CopyKey", "Effect": "Allow", "Action": ["kms:DescribeKey"], "Resource": copy.key_arn},
        {
            "Sid": "CopyGrant",
            "Effect": "Allow",
            "Action": ["kms:CreateGrant"],
            "Resource": copy.key_arn,
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
    ]
