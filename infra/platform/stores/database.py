"""The system of record: PostgreSQL on RDS, encrypted, private, recoverable to any second of the last days."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import cloudwatch, iam, rds, secretsmanager

from infra.config.sections import DatabaseConfig, RestoreConfig
from infra.platform.network.store_access import from_cluster_only
from infra.platform.stores.database_parameters import parameters

NAME: Final = "teal"  # name of the database and of its owner
PORT: Final = 5432
ROTATION_DAYS: Final = 1_000  # the most that Secrets Manager takes, and a managed secret cannot be without: running pods read the password once (decision 0006)
MONITORING_SECONDS: Final = 60  # Enhanced Monitoring; RDS takes 0, 1, 5, 10, 15, 30 or 60, and each point is billed
INSIGHTS_DAYS: Final = 7  # free at 7; longer is billed for each vCPU
LOG_DAYS: Final = 30
BACKUP_WINDOW: Final = "02:00-02:30"  # UTC; before the maintenance job's default of Sunday 03:30
MAINTENANCE_WINDOW: Final = "sun:05:00-sun:05:30"


@dataclass(frozen=True)
class DatabaseArgs:
    """`client_security_group_id` is the only source that may connect: the cluster's."""

    prefix: str
    config: DatabaseConfig
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    client_security_group_id: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    logs_kms_key_arn: pulumi.Input[str] | None = None


class Database(pulumi.ComponentResource):
    """One writer with a standby in another zone (`multi_az`), TLS only, point-in-time recovery, password made and kept by AWS.

    `restore_from` makes a new instance beside the running one and points the outputs at it; the running one stays until
    `restore_from.keep_source` is false. Cost: the instance, twice with `multi_az`; gp3 storage; backups beyond the storage's size.
    """

    endpoint: pulumi.Output[str]
    port: int
    name: str
    secret_arn: pulumi.Output[str]  # {"username", "password"}
    instance_id: pulumi.Output[str]
    instance_arn: pulumi.Output[str]
    instance_arns: list[pulumi.Output[str]]  # the one in use, and a restored one's source while it is kept
    security_group_id: pulumi.Output[str]
    subnet_group: pulumi.Output[str]
    parameter_group: pulumi.Output[str]
    instance: rds.Instance

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Database", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        group = from_cluster_only(
            name,
            f"{args.prefix}-database",
            "PostgreSQL, from the cluster only",
            port=PORT,
            vpc_id=args.vpc_id,
            client_security_group_id=args.client_security_group_id,
            child=child,
        )
        subnets = rds.SubnetGroup(name, name=f"{args.prefix}-database", subnet_ids=args.subnet_ids, opts=child)
        settings = rds.ParameterGroup(
            name,
            # RDS cannot change the family of a parameter group, so each major version has its own group.
            name=f"{args.prefix}-{parameter_family(args.config.engine_version)}",
            family=parameter_family(args.config.engine_version),
            parameters=[{"name": one.name, "value": one.value, "apply_method": one.apply_method} for one in parameters()],
            opts=child,
        )
        watcher, allowed = _monitoring_role(name, args.prefix, child)
        shared: dict[str, Any] = {
            "db_subnet_group_name": subnets.name,
            "parameter_group_name": settings.name,
            "vpc_security_group_ids": [group.id],
            "monitoring_role_arn": watcher.arn,
        }
        restore, kept = args.config.restore_from, list[rds.Instance]()
        if restore is None:
            current = self._instance(name, f"{args.prefix}-db", args, shared, None, allowed)
        else:
            if restore.keep_source:
                kept.append(self._instance(name, f"{args.prefix}-db", args, shared, None, allowed))
            suffix = restored_suffix(restore)
            current = self._instance(f"{name}-{suffix}", f"{args.prefix}-db-{suffix}", args, shared, restore, allowed)
        self.instance, self.port, self.name = current, PORT, NAME
        self.endpoint, self.instance_id = current.address, current.identifier
        self.instance_arn, self.security_group_id = current.arn, group.id
        self.subnet_group, self.parameter_group = subnets.name, settings.name
        self.instance_arns = [one.arn for one in (current, *kept)]
        self.secret_arn = current.master_user_secrets.apply(lambda secrets: str(secrets[0].secret_arn))
        secretsmanager.SecretRotation(
            name,
            secret_id=self.secret_arn,
            rotate_immediately=False,
            rotation_rules={"automatically_after_days": ROTATION_DAYS},
            opts=child,
        )
        self.register_outputs({"endpoint": self.endpoint, "secret_arn": self.secret_arn})

    def _instance(
        self,
        name: str,
        identifier: str,
        args: DatabaseArgs,
        shared: dict[str, Any],
        restore: RestoreConfig | None,
        watched: pulumi.Resource,
    ) -> rds.Instance:
        config = args.config
        logs = cloudwatch.LogGroup(
            name,
            name=f"/aws/rds/instance/{identifier}/postgresql",  # RDS would make this log group itself, without end of retention
            retention_in_days=LOG_DAYS,
            kms_key_id=args.logs_kms_key_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return rds.Instance(
            name,
            identifier=identifier,
            engine="postgres",
            engine_version=config.engine_version,
            instance_class=config.instance_class,
            multi_az=config.multi_az,
            storage_type="gp3",
            allocated_storage=config.storage_gib,
            max_allocated_storage=config.max_storage_gib,
            storage_encrypted=True,
            kms_key_id=args.kms_key_arn,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=args.kms_key_arn,
            port=PORT,
            publicly_accessible=False,
            backup_retention_period=config.backup_days,
            backup_window=BACKUP_WINDOW,
            maintenance_window=MAINTENANCE_WINDOW,
            copy_tags_to_snapshot=True,
            delete_automated_backups=False,
            deletion_protection=True,
            skip_final_snapshot=False,
            final_snapshot_identifier=f"{identifier}-final",
            # The stack's file names the major version.
            # AWS upgrades the minor in the maintenance window; a pinned minor would be retired and then refused.
            auto_minor_version_upgrade=True,
            allow_major_version_upgrade=config.major_upgrade,
            apply_immediately=config.apply_immediately,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.kms_key_arn,
            performance_insights_retention_period=INSIGHTS_DAYS,
            monitoring_interval=MONITORING_SECONDS,
            enabled_cloudwatch_logs_exports=["postgresql"],
            opts=pulumi.ResourceOptions(parent=self, protect=True, depends_on=[logs, watched]),
            **restore_source(restore),
            **shared,
        )


def parameter_family(engine_version: str) -> str:
    """RDS's parameter group family of a major version."""
    return f"postgres{engine_version.split('.', 1)[0]}"


def restored_suffix(restore: RestoreConfig) -> str:
    """The name suffix of a restored instance, a hash of its source and time."""
    source = {"snapshot": restore.snapshot, "source": restore.source, "time": restore.time}
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:6]


def restore_source(restore: RestoreConfig | None) -> dict[str, Any]:
    """Arguments for the instance's first content. A restored instance already has its database and owner."""
    if restore is None:
        return {"db_name": NAME, "username": NAME}
    if restore.snapshot is not None:
        return {"snapshot_identifier": restore.snapshot}
    return {"restore_to_point_in_time": {"source_db_instance_identifier": restore.source, "restore_time": restore.time}}


def _monitoring_role(name: str, prefix: str, child: pulumi.ResourceOptions) -> tuple[iam.Role, iam.RolePolicyAttachment]:
    trust = {"Effect": "Allow", "Principal": {"Service": "monitoring.rds.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.Role(
        f"{name}-monitoring",
        name=f"{prefix}-rds-monitoring",
        assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        opts=child,
    )
    rights = iam.RolePolicyAttachment(
        f"{name}-monitoring",
        role=role.name,
        policy_arn="arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole",
        opts=child,
    )
    return role, rights
