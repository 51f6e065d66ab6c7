"""The system of record: private, encrypted, recoverable, restored beside what runs, cared for every week."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from infra.config.sections import DatabaseConfig, RestoreConfig
from infra.platform.stores.database import BACKUP_WINDOW, MAINTENANCE_WINDOW, Database, DatabaseArgs, restored_suffix
from infra.platform.stores.database_maintenance import cron, maintenance_pod
from infra.platform.stores.database_parameters import parameters
from tests.unit.infra.mocks import RegisteredResource, run

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1"
SNAPSHOT = RestoreConfig(snapshot="rds:teal-prod-db-2026-11-01")
MOMENT = RestoreConfig(source="teal-prod-db", time="2026-11-20T10:00:00Z")


def registered(config: DatabaseConfig) -> list[RegisteredResource]:
    return run(lambda: Database("database", DatabaseArgs("teal-prod", config, "vpc-1", ["subnet-1", "subnet-2"], "sg-pods", KEY)))


def instances(config: DatabaseConfig) -> dict[str, RegisteredResource]:
    return {one.inputs["identifier"]: one for one in registered(config) if one.type == "aws:rds/instance:Instance"}


def only(found: list[RegisteredResource], kind: str) -> Mapping[str, Any]:
    (one,) = [each for each in found if each.type == kind]
    return one.inputs


def test_the_instance_is_private_encrypted_protected_and_recoverable() -> None:
    (one,) = instances(DatabaseConfig(backup_days=35)).values()
    said = one.inputs
    assert one.protect
    assert said["deletionProtection"] is True
    assert said["publiclyAccessible"] is False
    assert (said["storageEncrypted"], said["kmsKeyId"]) == (True, KEY)
    assert said["backupRetentionPeriod"] == 35
    assert said["skipFinalSnapshot"] is False
    assert said["enabledCloudwatchLogsExports"] == ["postgresql"]


def test_nobody_writes_the_password_down() -> None:
    (one,) = instances(DatabaseConfig()).values()
    assert one.inputs["manageMasterUserPassword"] is True
    assert "password" not in one.inputs


def test_the_password_is_rotated_by_a_release_and_not_under_running_pods() -> None:
    found = registered(DatabaseConfig())
    rotation = only(found, "aws:secretsmanager/secretRotation:SecretRotation")
    assert rotation["rotationRules"] == {"automaticallyAfterDays": 1_000}
    assert rotation["rotateImmediately"] is False


def test_only_the_cluster_connects() -> None:
    found = registered(DatabaseConfig())
    group = only(found, "aws:ec2/securityGroup:SecurityGroup")
    rule = only(found, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert rule["referencedSecurityGroupId"] == "sg-pods"
    assert (rule["fromPort"], rule["toPort"], rule["ipProtocol"]) == (5432, 5432, "tcp")
    assert "cidrIpv4" not in rule
    assert "ingress" not in group
    assert group["egress"] == []


def test_windows_do_not_meet() -> None:
    backup = BACKUP_WINDOW.split("-")
    upkeep = [part.split(":", 1)[1] for part in MAINTENANCE_WINDOW.split("-")]
    assert backup[0] < backup[1] <= upkeep[0] < upkeep[1]


@pytest.mark.parametrize(
    ("restore", "key", "value"),
    [
        (SNAPSHOT, "snapshotIdentifier", "rds:teal-prod-db-2026-11-01"),
        (MOMENT, "restoreToPointInTime", {"sourceDbInstanceIdentifier": "teal-prod-db", "restoreTime": "2026-11-20T10:00:00Z"}),
    ],
)
def test_a_restore_is_a_new_instance_beside_the_running_one(restore: RestoreConfig, key: str, value: object) -> None:
    before = instances(DatabaseConfig())
    after = instances(DatabaseConfig(restore_from=restore))
    assert set(before) < set(after)
    assert after["teal-prod-db"].inputs == before["teal-prod-db"].inputs
    restored = after[f"teal-prod-db-{restored_suffix(restore)}"]
    assert restored.protect
    assert restored.inputs[key] == value
    assert "username" not in restored.inputs  # RDS refuses one for a restored instance
    assert "dbName" not in restored.inputs


def test_outputs_follow_the_restored_instance() -> None:
    config = DatabaseConfig(restore_from=MOMENT)
    rotation = only(registered(config), "aws:secretsmanager/secretRotation:SecretRotation")
    plain = only(registered(DatabaseConfig()), "aws:secretsmanager/secretRotation:SecretRotation")
    assert rotation["secretId"] != plain["secretId"]


def test_the_first_instance_goes_only_when_that_is_said() -> None:
    kept_apart = RestoreConfig(source="teal-prod-db", time="2026-11-20T10:00:00Z", keep_source=False)
    assert list(instances(DatabaseConfig(restore_from=kept_apart))) == [f"teal-prod-db-{restored_suffix(MOMENT)}"]


def test_each_parameter_has_a_reason_and_stands_once() -> None:
    names = [one.name for one in parameters()]
    assert len(names) == len(set(names))
    assert all(len(one.why) > 20 for one in parameters())


def test_maintenance_is_restricted_bounded_and_never_runs_twice_at_once() -> None:
    spec = cron("30 3 * * 0", maintenance_pod("db", 5432, "teal"))
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] <= 4 * 3600
    (container,) = job["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert "password" not in json.dumps(container["env"]).lower()


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_aws_moves_minor_versions_and_the_file_names_the_major(stack: str) -> None:
    from tests.unit.infra.conftest import evaluate, of_type

    made = evaluate("platform", stack)
    (database,) = of_type(made, "aws:rds/instance:Instance")
    assert database.inputs["engineVersion"] == "17"
    assert database.inputs["autoMinorVersionUpgrade"] is True
    assert (database.inputs["applyImmediately"], database.inputs["allowMajorVersionUpgrade"]) == (False, False)
    (cache,) = of_type(made, "aws:elasticache/replicationGroup:ReplicationGroup")
    assert "engineVersion" in cache.ignore_changes
    (rotation,) = of_type(made, "aws:secretsmanager/secretRotation:SecretRotation")
    assert rotation.inputs["rotationRules"]["automaticallyAfterDays"] == 1_000  # Secrets Manager's longest
