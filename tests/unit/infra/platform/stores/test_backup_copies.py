"""Copies of the database in another region or account: an option that reaches exactly the vault and the key that it names."""

from __future__ import annotations

import functools
import json
from typing import Any, Final

import pytest

from infra.compose.foundation import check_deployer
from infra.config.read import ConfigError, load_config
from infra.delivery.reach import is_allowed
from infra.delivery.reach_table import account_of
from infra.evaluation import evaluate as evaluation
from infra.evaluation.evaluate import Evaluation, stack_values
from tests.unit.infra.conftest import evaluate, of_type

OTHER: Final = "999988887777"
VAULT, KEY = (
    "arn:aws:backup:eu-west-1:{0}:backup-vault:teal-copies",
    "arn:aws:kms:eu-west-1:{0}:key/0a1b2c3d-1111-4222-8333-444455556666",
)


def values(account: str, region: str = "eu-west-1", **more: Any) -> dict[str, Any]:
    place = {
        "vault_arn": VAULT.format(account).replace("eu-west-1", region),
        "key_arn": KEY.format(account).replace("eu-west-1", region),
    }
    return {**stack_values("prod"), "teal:backup": {"copy_to": {**place, **more}}}


@functools.cache
def made(account: str = OTHER) -> Evaluation:
    return evaluation.evaluate_program("teal", evaluation.ROOT / "infra" / "__main__.py", "prod", values(account))


def data_key_policy(platform: Evaluation) -> str:
    (key,) = [one for one in of_type(platform, "aws:kms/key:Key") if one.name == "keys-data"]
    return str(key.inputs["policy"])


def _policy_of(name: str) -> str:
    (policy,) = [one for one in of_type(made(), "aws:iam/rolePolicy:RolePolicy") if one.name == name]
    return str(policy.inputs["policy"])


def test_every_recovery_point_is_copied_and_kept_as_long_as_the_stack_says() -> None:
    (plan,) = of_type(made(), "aws:backup/plan:Plan")
    for rule in plan.inputs["rules"]:
        assert rule["copyActions"] == [{"destinationVaultArn": VAULT.format(OTHER), "lifecycle": {"deleteAfter": 35}}]


def test_without_the_option_nothing_is_copied_and_no_key_is_shared() -> None:
    platform = evaluate("platform", "prod")
    (plan,) = of_type(platform, "aws:backup/plan:Plan")
    assert not any("copyActions" in rule for rule in plan.inputs["rules"])
    assert "Copies" not in data_key_policy(platform)
    assert not [one for one in platform.resources if one.name.endswith("BackupCopyFailed")]


def test_the_role_copies_to_that_vault_with_that_key_and_to_no_other() -> None:
    account = account_of(made(), "prod")
    role = account.roles["arn:aws:iam::123456789012:role/teal-prod-backup"]
    assert is_allowed(account, role, "backup:CopyIntoBackupVault", VAULT.format(OTHER))
    own = [one for one in json.loads(_policy_of("backup"))["Statement"] if one["Sid"] == "CopyFrom"]
    assert is_allowed(account, role, "backup:CopyFromBackupVault", own[0]["Resource"])
    assert is_allowed(account, role, "kms:DescribeKey", KEY.format(OTHER))
    assert not is_allowed(account, role, "backup:CopyIntoBackupVault", VAULT.format("555566667777"))
    assert not is_allowed(account, role, "kms:Decrypt", KEY.format(OTHER))
    assert not is_allowed(account, role, "backup:DeleteRecoveryPoint", VAULT.format(OTHER))


def test_the_platform_s_role_cannot_touch_the_copies() -> None:
    account = account_of(made(), "prod")
    up = account.roles["arn:aws:iam::123456789012:role/teal-prod-github-up"]
    for action in ("backup:DeleteRecoveryPoint", "backup:DeleteBackupVault", "backup:PutBackupVaultAccessPolicy"):
        assert not is_allowed(account, up, action, VAULT.format("123456789012"))


def test_another_account_may_read_the_data_key_for_copies_and_not_manage_it() -> None:
    shared = [one for one in json.loads(data_key_policy(made()))["Statement"] if OTHER in json.dumps(one["Principal"])]
    actions = {action for one in shared for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])}
    assert actions == {
        "kms:DescribeKey",
        "kms:Decrypt",
        "kms:Encrypt",
        "kms:ReEncrypt*",
        "kms:GenerateDataKey*",
        "kms:CreateGrant",
    }
    (grant,) = [one for one in shared if one["Action"] == "kms:CreateGrant"]
    assert grant["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def test_the_same_account_in_another_region_needs_no_shared_key() -> None:
    assert "Copies" not in data_key_policy(made("123456789012"))


def test_a_failed_copy_wakes_an_alarm() -> None:
    (alarm,) = [one for one in of_type(made(), "aws:cloudwatch/metricAlarm:MetricAlarm") if one.name.endswith("BackupCopyFailed")]
    assert alarm.inputs["metricName"] == "NumberOfCopyJobsFailed"
    assert alarm.inputs["dimensions"] == {"BackupVaultName": "teal-prod"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"key_arn": KEY.format("111122223333")}, "another region or account than the vault"),
        ({"vault_arn": "teal-copies"}, "it is not the ARN of a backup vault"),
        ({"key_arn": "arn:aws:kms:eu-west-1:999988887777:alias/copies"}, "not the ARN of an alias"),
        ({"keep_days": 1}, "keep_days"),
    ],
)
def test_a_copy_that_cannot_work_is_refused_in_words(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(values(OTHER, **more), "prod", "Pulumi.prod.yaml")


def test_a_copy_that_would_be_lost_with_the_original_is_refused() -> None:
    config = load_config(values(OTHER, "eu-central-1"), "prod", "Pulumi.prod.yaml")
    with pytest.raises(ConfigError, match="own region and account"):
        check_deployer(config, OTHER, f"arn:aws:iam::{OTHER}:role/deployer")
