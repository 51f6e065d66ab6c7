"""A second copy of the system of record, under rights that can neither restore nor delete it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3

from infra.components.backup import Backup, BackupArgs
from infra.components.database import BACKUP_TAG
from tests.infra.mocks import Registered, run

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1"
DATABASE = "arn:aws:rds:eu-central-1:111122223333:db:teal-prod-db"


def registered() -> dict[str, Registered]:
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


def test_the_plan_selects_by_the_tag_that_the_database_carries() -> None:
    (tag,) = registered()["Selection"].inputs["selectionTags"]
    assert {tag["key"]: tag["value"]} == BACKUP_TAG
    assert tag["type"] == "STRINGEQUALS"


def test_recovery_points_are_kept_a_month_and_a_year_and_are_not_backed_up_again() -> None:
    rules = registered()["Plan"].inputs["rules"]
    assert [(one["ruleName"], one["lifecycle"]["deleteAfter"]) for one in rules] == [("daily", 35), ("monthly", 365)]
    assert all(one["recoveryPointTags"] != BACKUP_TAG for one in rules)
    assert all(one["completionWindow"] >= one["startWindow"] + 60 for one in rules)


def test_the_role_can_neither_restore_nor_delete_a_database() -> None:
    actions = {
        action for one in statements() for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }
    assert not {action for action in actions if "Restore" in action or action in ("rds:DeleteDBInstance", "rds:*", "*")}


def test_only_the_search_by_tag_names_no_resource() -> None:
    assert [one["Sid"] for one in statements() if one["Resource"] == "*"] == ["FindByTag"]


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
