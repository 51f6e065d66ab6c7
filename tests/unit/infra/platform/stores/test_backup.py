"""A second copy of the system of record, under rights that can neither restore nor delete it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3

from infra.evaluation import evaluate as evaluation
from infra.evaluation.evaluate import Evaluation, stack_values
from infra.platform.stores.backup import DAILY_DAYS, Backup, BackupArgs
from tests.unit.infra.conftest import of_type
from tests.unit.infra.mocks import RegisteredResource, run

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1"
DATABASE = "arn:aws:rds:eu-central-1:111122223333:db:teal-prod-db"


def registered() -> dict[str, RegisteredResource]:
    found = run(lambda: Backup("backup", BackupArgs("teal-prod", "eu-central-1", "111122223333", [DATABASE], KEY)))
    return {one.type.rsplit(":", 1)[-1]: one for one in found}


def statements() -> list[Mapping[str, Any]]:
    written: list[Mapping[str, Any]] = json.loads(registered()["RolePolicy"].inputs["policy"])["Statement"]
    return written


def test_the_vault_is_protected_and_encrypted() -> None:
    vault = registered()["Vault"]
    assert vault.protect
    assert vault.inputs["kmsKeyArn"] == KEY
    assert vault.inputs["forceDestroy"] is False


def test_the_plan_selects_its_own_stack_s_databases_and_no_other_s() -> None:
    """Tags are the account's: by tag, one stack's plan would choose the databases of another, and fail for want of rights each night."""
    selection = registered()["Selection"].inputs
    assert selection["resources"] == [DATABASE]
    assert "selectionTags" not in selection


def test_a_restored_database_s_source_is_backed_up_while_it_is_kept() -> None:
    values = dict(stack_values("prod"))
    values["teal:database"] = {**values["teal:database"], "restore_from": {"snapshot": "s-1"}}  # type: ignore[dict-item]
    made = evaluation.evaluate_program("teal", evaluation.ROOT / "infra" / "__main__.py", "prod", values).resources
    instances = {one.name for one in made if one.type == "aws:rds/instance:Instance"}
    (selection,) = [one for one in made if one.type == "aws:backup/selection:Selection"]
    assert len(instances) == len(selection.inputs["resources"]) == 2


def test_recovery_points_are_kept_a_month_and_a_year() -> None:
    rules = registered()["Plan"].inputs["rules"]
    assert [(one["ruleName"], one["lifecycle"]["deleteAfter"]) for one in rules] == [("daily", 35), ("monthly", 365)]
    assert all(one["completionWindow"] >= one["startWindow"] + 60 for one in rules)


def test_the_role_can_neither_restore_nor_delete_a_database() -> None:
    actions = {
        action for one in statements() for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }
    assert not {action for action in actions if "Restore" in action or action in ("rds:DeleteDBInstance", "rds:*", "*")}


def test_every_right_names_its_resources() -> None:
    assert [one["Sid"] for one in statements() if one["Resource"] == "*"] == []


def test_every_rds_right_is_an_operation_that_rds_has() -> None:
    session = boto3.session.Session()
    client = session.client("rds", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")  # pragma: allowlist secret
    known = set(client.meta.service_model.operation_names)
    asked = {action.removeprefix("rds:") for one in statements() for action in one["Action"] if action.startswith("rds:")}
    assert asked
    assert asked <= known


def test_the_role_is_taken_by_aws_backup_without_a_condition_that_it_may_not_meet() -> None:
    (trust,) = json.loads(registered()["Role"].inputs["assumeRolePolicy"])["Statement"]
    assert trust == {"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, "Action": "sts:AssumeRole"}


def test_the_vault_is_locked_and_load_balancer_and_cluster_are_protected_from_deletion(platform: Evaluation) -> None:
    (lock,) = of_type(platform, "aws:backup/vaultLockConfiguration:VaultLockConfiguration")
    assert lock.inputs["minRetentionDays"] == DAILY_DAYS
    assert "changeableForDays" not in lock.inputs  # with it nobody could ever take the lock off
    (balancer,) = of_type(platform, "aws:lb/loadBalancer:LoadBalancer")
    assert balancer.inputs["enableDeletionProtection"] is True
    (cluster,) = of_type(platform, "aws:eks/cluster:Cluster")
    assert cluster.inputs["deletionProtection"] is True
