"""`teal destroy`: the order, what it keeps, and what it finds left. Pulumi is a stand-in with a state here; tests/engine runs the real one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from teal import cli
from teal.aws.names import StateNames
from teal.aws.pulumi.cli import StateResource
from teal.aws.session import Aws
from teal.aws.teardown import destroy, emptying, final_copies, leftovers
from teal.aws.teardown import order as teardown
from teal.errors import NeedsHuman

REGION = "eu-central-1"

NAMES = StateNames("dev", "123456789012", REGION)


def resource(kind: str, name: str, identifier: str = "", protect: bool = False, **outputs: Any) -> StateResource:
    return StateResource(f"urn:pulumi:dev::teal::{kind}::{name}", kind, identifier or name, protect, outputs=outputs)


PLATFORM = (
    resource("aws:ec2/vpc:Vpc", "network"),
    resource("aws:kms/key:Key", "data", protect=True),
    resource("aws:rds/instance:Instance", "database", protect=True, identifier="teal-dev"),
    resource("aws:eks/cluster:Cluster", "cluster", protect=True),
    resource("pulumi:providers:kubernetes", "cluster"),
    resource("aws:lb/listenerRule:ListenerRule", "all", protect=True),
    resource("kubernetes:karpenter.sh/v1:NodePool", "search"),
    resource("kubernetes:core/v1:Namespace", "search"),
    resource("kubernetes:helm.sh/v3:Release", "keda"),
    resource("kubernetes:elasticsearch.k8s.elastic.co/v1:Elasticsearch", "search"),
    resource("kubernetes:keda.sh/v1alpha1:TriggerAuthentication", "database"),
)


@dataclass
class StatefulPulumi:
    """Keeps a state as Pulumi would: protected resources are not deleted, what is deleted is gone. Notes what it was asked."""

    held: dict[str, list[StateResource]]
    asked: list[tuple[str, Any]] = field(default_factory=list)
    stuck: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = Path()
    backend_url: str = ""

    def stacks(self) -> tuple[str, ...]:
        return tuple(self.held)

    def resources(self, stack: str) -> tuple[StateResource, ...]:
        return tuple(self.held[stack])

    def protect(self, stack: str, urns: Sequence[str]) -> None:
        self.asked.append(("protect", tuple(urns)))

    def unprotect(self, stack: str, urns: Sequence[str]) -> None:
        self.asked.append(("unprotect", tuple(urns)))
        self.held[stack] = [
            StateResource(one.urn, one.type, one.id, one.protect and one.urn not in urns, one.dependencies, one.outputs)
            for one in self.held[stack]
        ]

    def destroy(self, stack: str, targets: Sequence[str] = (), *, exclude_protected: bool = False) -> None:
        self.asked.append(("destroy", tuple(targets) or stack))
        going = [one for one in self.held[stack] if (not targets or one.urn in targets) and one.urn != self.stuck]
        if not exclude_protected:
            assert not [one for one in going if one.protect], "pulumi refuses to delete what is protected"
        self.held[stack] = [one for one in self.held[stack] if one not in going or one.protect]

    def remove(self, stack: str) -> None:
        assert not self.held[stack]
        del self.held[stack]


def programs(platform: Sequence[StateResource] = PLATFORM, colors: Sequence[str] = ("dev-blue",)) -> Any:
    service = StatefulPulumi({name: [resource("kubernetes:apps/v1:Deployment", "web")] for name in colors})
    return destroy.Programs(StatefulPulumi({"dev": list(platform)}), service)  # type: ignore[arg-type]


def test_custom_resources_go_before_operators_before_the_cluster_before_its_network() -> None:
    order = [(phase.name, [urn.rsplit("::", 2)[1] for urn in phase.targets]) for phase in teardown.phases(PLATFORM)]
    assert [name for name, _ in order] == ["custom resources", "operators", "cluster objects", "cluster access", "cluster"]
    assert order[0][1] == [
        "kubernetes:elasticsearch.k8s.elastic.co/v1:Elasticsearch",
        "kubernetes:keda.sh/v1alpha1:TriggerAuthentication",
    ]
    assert "kubernetes:karpenter.sh/v1:NodePool" in order[2][1]  # machines are needed until the last pod is gone


def test_data_stays_protected_unless_it_was_asked_for() -> None:
    kept = {one.urn for one in PLATFORM if one.protect} - set(teardown.to_unprotect(PLATFORM, delete_data=False))
    assert {urn.rsplit("::", 2)[1] for urn in kept} == {"aws:kms/key:Key", "aws:rds/instance:Instance"}
    assert len(teardown.to_unprotect(PLATFORM, delete_data=True)) == 4


def test_a_phase_takes_along_what_needs_its_targets() -> None:
    cluster = PLATFORM[3]
    rule = StateResource("urn:pulumi:dev::teal::aws:ec2/rule:Rule::r", "aws:ec2/rule:Rule", "r", False, (cluster.urn,))
    other = StateResource("urn:pulumi:dev::teal::aws:ec2/rule:Rule::s", "aws:ec2/rule:Rule", "s", False, (rule.urn,))
    (phase,) = teardown.phases((cluster, rule, other, PLATFORM[0]))
    assert phase.targets == (cluster.urn, rule.urn, other.urn)


def test_forgetting_is_an_environment_variable_of_both_programs() -> None:
    made = destroy.programs(Path("/p"), NAMES)
    assert {one.environment.get("PULUMI_K8S_DELETE_UNREACHABLE") for one in (made.platform, made.service)} == {None}
    forgetting = made.forgetting()
    assert {one.environment["PULUMI_K8S_DELETE_UNREACHABLE"] for one in (forgetting.platform, forgetting.service)} == {"true"}


@pytest.mark.parametrize(
    ("arn", "kind"),
    [
        ("arn:aws:ec2:eu-central-1:1:volume/vol-1", "ec2:volume"),
        ("arn:aws:s3:::teal-x", "s3:"),
        ("arn:aws:rds:eu-central-1:1:db:teal-dev", "rds:db"),
        ("arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/teal/1", "elasticloadbalancing:loadbalancer"),
        ("arn:aws:sns:eu-central-1:1:topic", "sns:"),
        ("arn:aws:backup:eu-central-1:1:backup-vault:teal", "backup:backup-vault"),
        ("arn:aws:logs:eu-central-1:1:log-group:/aws/eks/teal", "logs:log-group"),
    ],
)
def test_an_arn_says_what_it_is(arn: str, kind: str) -> None:
    assert leftovers.kind_of(arn) == kind


class Refusing:
    """A bucket whose objects are locked, and a registry that keeps what an index names until the index is gone."""

    def __init__(self, *, locked: bool = False) -> None:
        self.locked = locked
        self.images = ["index", "image"]

    def get_paginator(self, _name: str) -> Refusing:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        return [{"Versions": [{"Key": "k", "VersionId": "1"}], "imageIds": [{"imageDigest": one} for one in self.images]}]

    def delete_objects(self, **_: Any) -> dict[str, Any]:
        return {"Errors": [{"Key": "k", "Message": "Access Denied"}]}

    def batch_delete_image(self, *, repositoryName: str, imageIds: list[dict[str, str]]) -> dict[str, Any]:
        assert repositoryName == "r"
        named = self.locked or "index" in self.images
        refused = [one for one in imageIds if one["imageDigest"] == "image" and named]
        self.images = [] if not refused else ["image"]
        return {"failures": [{"imageId": one, "failureReason": "referenced by an index"} for one in refused]}


def test_what_an_index_names_is_deleted_after_it() -> None:
    registry = Refusing()
    emptying.open_up(Aws(lambda _service: registry, REGION), [resource("aws:ecr/repository:Repository", "r", "r")])
    assert registry.images == []


@pytest.mark.parametrize(
    ("kind", "words"), [("aws:ecr/repository:Repository", "referenced by an index"), ("aws:s3/bucket:Bucket", "Access Denied")]
)
def test_what_aws_refuses_inside_an_answer_is_said(kind: str, words: str) -> None:
    with pytest.raises(NeedsHuman, match=words):
        emptying.open_up(Aws(lambda _service: Refusing(locked=True), REGION), [resource(kind, "r", "r")])


class Backup:
    """A vault whose points take some questions to go, as AWS's do; one is still being made at first."""

    def __init__(self, questions: int) -> None:
        self.locked = True
        self.questions = questions
        self.asked = 0
        self.deleted: set[str] = set()

    def get_paginator(self, _name: str) -> Backup:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        self.asked += 1
        status = {"arn:1": "COMPLETED", "arn:2": "CREATING" if self.asked < 3 else "COMPLETED"}
        left = [one for one in status if not (one in self.deleted and self.asked > self.questions)]
        return [
            {
                "RecoveryPoints": [
                    {"RecoveryPointArn": one, "Status": "DELETING" if one in self.deleted else status[one]} for one in left
                ]
            }
        ]

    def delete_backup_vault_lock_configuration(self, *, BackupVaultName: str) -> None:
        assert BackupVaultName == "teal-dev"
        self.locked = False

    def delete_recovery_point(self, *, BackupVaultName: str, RecoveryPointArn: str) -> None:
        assert BackupVaultName == "teal-dev"
        assert not self.locked, "AWS deletes nothing under a lock"
        assert RecoveryPointArn not in self.deleted, "AWS refuses to delete what is being deleted"
        self.deleted.add(RecoveryPointArn)


def test_a_vault_is_empty_before_it_is_deleted() -> None:
    backup, pauses = Backup(questions=5), list[float]()
    emptying.open_up(Aws(lambda _service: backup, REGION), [resource("aws:backup/vault:Vault", "v", "teal-dev")], pauses.append)
    assert backup.deleted == {"arn:1", "arn:2"}
    assert len(pauses) == 5


def test_a_vault_that_does_not_empty_needs_a_human_after_a_quarter_of_an_hour() -> None:
    backup, pauses = Backup(questions=10_000), list[float]()
    with pytest.raises(NeedsHuman, match="2 recovery points are still in the vault"):
        emptying.open_up(
            Aws(lambda _service: backup, REGION), [resource("aws:backup/vault:Vault", "v", "teal-dev")], pauses.append
        )
    assert sum(pauses) == 900


class Rds:
    """Snapshots and backups in a list each, because moto cannot delete automated backups."""

    def __init__(self, snapshots: Sequence[tuple[str, str]], backups: Sequence[tuple[str, str]]) -> None:
        self.snapshots = list(snapshots)
        self.backups = list(backups)

    def get_paginator(self, name: str) -> Any:
        rows = {
            "describe_db_snapshots": {
                "DBSnapshots": [{"DBSnapshotIdentifier": name, "DBInstanceIdentifier": of} for name, of in self.snapshots]
            },
            "describe_db_instance_automated_backups": {
                "DBInstanceAutomatedBackups": [
                    {"DBInstanceAutomatedBackupsArn": f"arn:{of}", "DBInstanceIdentifier": of, "Status": status}
                    for of, status in self.backups
                ]
            },
        }
        self.page = rows[name]
        return self

    def paginate(self, **_: str) -> list[Any]:
        return [self.page]

    def delete_db_snapshot(self, DBSnapshotIdentifier: str) -> None:
        self.snapshots = [one for one in self.snapshots if one[0] != DBSnapshotIdentifier]

    def delete_db_instance_automated_backup(self, DBInstanceAutomatedBackupsArn: str) -> None:
        self.backups = [one for one in self.backups if f"arn:{one[0]}" != DBInstanceAutomatedBackupsArn]


def test_copies_that_rds_keeps_of_this_environment_s_databases_go_and_no_others() -> None:
    rds = Rds(
        [("teal-dev-db-final", "teal-dev-db"), ("teal-dev-db-r1-final", "teal-dev-db-r1"), ("by-hand", "teal-dev-db"),
         ("teal-prod-db-final", "teal-prod-db")],
        [("teal-dev-db", "retained"), ("teal-dev-db-r1", "active"), ("teal-prod-db", "retained")],
    )  # fmt: skip
    aws = Aws(lambda _service: rds, REGION)
    assert final_copies.delete_final_snapshots(aws, NAMES) == ("teal-dev-db-final", "teal-dev-db-r1-final")
    assert final_copies.delete_retained_backups(aws, NAMES) == ("arn:teal-dev-db",)
    assert rds.snapshots == [("by-hand", "teal-dev-db"), ("teal-prod-db-final", "teal-prod-db")]
    assert rds.backups == [("teal-dev-db-r1", "active"), ("teal-prod-db", "retained")]


@pytest.mark.parametrize("confirm", [(), ("--confirm", "prod")])
def test_data_is_deleted_only_when_the_name_is_typed(
    confirm: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  aws:region: eu-central-1\n")
    found = programs()

    class Known:
        def get_caller_identity(self) -> dict[str, str]:
            return {"Account": "123456789012"}

    monkeypatch.setattr("teal.aws.session.open_aws", lambda _region: Aws(lambda _service: Known(), REGION))
    monkeypatch.setattr(destroy, "programs", lambda _root, _names: found)
    code = cli.run(["destroy", "dev", "--delete-data", *confirm, "--yes", "--json", "--project", str(tmp_path)])
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 2
    assert said[0]["resources"] == len(PLATFORM)
    assert "--confirm dev" in said[-1]["error"]["next"]
    assert found.platform.asked == found.service.asked == []


def test_what_keeps_others_out_of_a_bucket_stays_with_it() -> None:
    block = resource("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "releases")
    bound = resource("aws:s3/bucketPolicy:BucketPolicy", "logs")
    going = (teardown.Phase("cluster", "", (bound.urn,)),)
    assert teardown.guards_of_data(going, (*PLATFORM, block, bound)) == (block.urn,)
