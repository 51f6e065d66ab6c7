"""Recovery points are restored without a person, by a role that can reach nothing but what it restored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from infra.config.sections import RestoreTestOften
from infra.delivery.reach import Account, IamRole, is_allowed
from infra.delivery.reach_table import account_of
from infra.evaluation import evaluate as evaluation
from infra.evaluation.evaluate import Evaluation, stack_values
from infra.platform.stores.restore_test import RestoreTest, RestoreTestArgs
from tests.unit.infra.conftest import evaluate, of_type
from tests.unit.infra.mocks import RegisteredResource, run

AT = "arn:aws:rds:eu-central-1:123456789012"
DATABASE = f"{AT}:db:teal-prod-db"
RESTORED = f"{AT}:db:awsbackup-restore-test-1a2b"
SELECTION = "aws:backup/restoreTestingSelection:RestoreTestingSelection"


def registered(often: RestoreTestOften = "weekly") -> dict[str, RegisteredResource]:
    args = RestoreTestArgs(
        prefix="teal-prod",
        region="eu-central-1",
        account_id="123456789012",
        often=often,
        vault_arn="arn:vault",
        database_arns=[DATABASE],
        instance_class="db.m7g.large",
        subnet_group="teal-prod-database",
        parameter_group="teal-prod-postgres17",
        vpc_id="vpc-1",
        kms_key_arn="arn:aws:kms:eu-central-1:123456789012:key/1",
    )
    return {one.type.rsplit(":", 1)[-1]: one for one in run(lambda: RestoreTest("restore-test", args))}


def role_of(stack: str) -> tuple[Account, IamRole]:
    account = account_of(evaluate("platform", stack), stack)
    return account, account.roles[f"arn:aws:iam::123456789012:role/teal-{stack}-restore-test"]


def test_the_newest_recovery_point_of_this_stack_s_vault_alone_is_restored() -> None:
    points: Mapping[str, Any] = registered()["RestoreTestingPlan"].inputs["recoveryPointSelection"]
    assert points == {
        "algorithm": "LATEST_WITHIN_WINDOW",
        "includeVaults": ["arn:vault"],
        "recoveryPointTypes": ["SNAPSHOT"],
        "selectionWindowDays": 7,
    }
    assert registered()["RestoreTestingSelection"].inputs["protectedResourceArns"] == [DATABASE]


@pytest.mark.parametrize(("often", "schedule"), [("weekly", "cron(0 8 ? * MON *)"), ("monthly", "cron(0 8 2 * ? *)")])
def test_it_is_tested_as_often_as_the_stack_says(often: RestoreTestOften, schedule: str) -> None:
    assert registered(often)["RestoreTestingPlan"].inputs["scheduleExpression"] == schedule


def test_the_plan_s_name_has_only_what_aws_backup_takes(platform: Evaluation) -> None:
    (plan,) = of_type(platform, "aws:backup/restoreTestingPlan:RestoreTestingPlan")
    assert plan.inputs["name"].replace("_", "").isalnum()
    assert len(plan.inputs["name"]) <= 50


def test_what_is_restored_is_in_the_stack_s_own_network_and_nobody_reaches_it() -> None:
    """The account's default network, which AWS Backup takes otherwise, may not exist."""
    made = registered()
    chosen = made["RestoreTestingSelection"].inputs["restoreMetadataOverrides"]
    assert chosen["dbSubnetGroupName"] == "teal-prod-database"
    assert chosen["dbParameterGroupName"] == "teal-prod-postgres17"
    assert chosen["publiclyAccessible"] == "false"
    assert len(json.loads(chosen["vpcSecurityGroupIds"])) == 1
    assert (made["SecurityGroup"].inputs["ingress"], made["SecurityGroup"].inputs["egress"]) == ([], [])


def test_after_a_restore_the_selection_is_made_anew_with_the_new_instance() -> None:
    """The provider changes the ARNs in its state and not in AWS (hashicorp/terraform-provider-aws issue 48316)."""
    values = dict(stack_values("prod"))
    values["teal:database"] = {**values["teal:database"], "restore_from": {"snapshot": "s-1", "keep_source": False}}  # type: ignore[dict-item]
    made = evaluation.evaluate_program("teal", evaluation.ROOT / "infra" / "__main__.py", "prod", values)
    (selection,), (instance,) = of_type(made, SELECTION), of_type(made, "aws:rds/instance:Instance")
    assert selection.inputs["protectedResourceArns"] == [f"{AT}:db:{instance.inputs['identifier']}"]
    assert selection.replace_on_changes == ("protectedResourceArns",)
    assert selection.delete_before_replace


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_role_can_restore_within_its_boundary_and_neither_change_nor_delete_a_database(stack: str) -> None:
    account, role = role_of(stack)
    own = f"{AT}:db:teal-{stack}-db"
    for resource in (
        RESTORED,
        f"{AT}:snapshot:awsbackup:job-1",
        f"{AT}:subgrp:teal-{stack}-database",
        f"{AT}:pg:teal-{stack}-postgres17",
        f"{AT}:og:default:postgres-17",
    ):
        assert is_allowed(account, role, "rds:RestoreDBInstanceFromDBSnapshot", resource), resource
    assert is_allowed(account, role, "rds:DescribeDBInstances", RESTORED)
    for action in ("rds:DeleteDBInstance", "rds:ModifyDBInstance"):
        assert not is_allowed(account, role, action, own)
        assert not is_allowed(account, role, action, RESTORED)
    assert not is_allowed(account, role, "rds:RestoreDBInstanceFromDBSnapshot", own)


def test_a_failed_restore_wakes_an_alarm(platform: Evaluation) -> None:
    alarms = [
        one for one in of_type(platform, "aws:cloudwatch/metricAlarm:MetricAlarm") if one.name.endswith("RestoreTestFailed")
    ]
    assert [one.inputs["metricName"] for one in alarms] == ["NumberOfRestoreJobsFailed"]
