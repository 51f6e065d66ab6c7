"""A plan that takes away what cannot be made again is refused, whatever the words for it; any other is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.policy import guard
from infra.policy.guard import REMOVING, PlanError, refusal_text, refused_losses
from infra.policy.stateful import STATEFUL

DATABASE = "aws:rds/instance:Instance"
ELASTICSEARCH = "kubernetes:elasticsearch.k8s.elastic.co/v1:Elasticsearch"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"


def urn(kind: str, name: str = "it") -> str:
    return f"urn:pulumi:prod::teal::teal:infra:Part${kind}::{name}"


def step(operation: str, kind: str, name: str = "it", **more: Any) -> dict[str, Any]:
    old = None if operation == "create" else {"urn": urn(kind, name), "type": kind, "protect": True}
    new = None if operation == "delete" else {"urn": urn(kind, name), "type": kind, "protect": True}
    return {"op": operation, "urn": urn(kind, name), "oldState": old, "newState": new} | more


@pytest.mark.parametrize("operation", sorted(REMOVING))
@pytest.mark.parametrize("kind", [DATABASE, ELASTICSEARCH, CLAIM, "aws:s3/bucket:Bucket", "aws:eks/cluster:Cluster"])
def test_every_way_to_take_away_is_refused(operation: str, kind: str) -> None:
    (one,) = refused_losses({"steps": [step(operation, kind)]})
    assert (one.type, one.what) == (kind, REMOVING[operation])
    assert one.lost == STATEFUL[kind]


@pytest.mark.parametrize("operation", ["same", "create", "update", "read", "refresh", "import"])
def test_what_takes_nothing_away_passes(operation: str) -> None:
    assert refused_losses({"steps": [step(operation, DATABASE)]}) == ()


@pytest.mark.parametrize(
    "kind", ["aws:ec2/subnet:Subnet", "kubernetes:apps/v1:Deployment", "aws:cloudwatch/metricAlarm:MetricAlarm"]
)
def test_what_can_be_made_again_may_be_deleted(kind: str) -> None:
    assert refused_losses({"steps": [step("delete", kind), step("replace", kind)]}) == ()


def test_a_replacement_is_told_once_with_the_property_that_forces_it() -> None:
    plan = {
        "steps": [
            step("create-replacement", DATABASE, replaceReasons=["storageEncrypted"]),
            step("replace", DATABASE, replaceReasons=["storageEncrypted"]),
            step("delete-replaced", DATABASE),
        ]
    }
    (one,) = refused_losses(plan)
    assert one.because == ("storageEncrypted",)
    assert "replaced (forced by storageEncrypted)" in refusal_text([one])


def test_an_operation_nobody_knows_yet_is_refused() -> None:
    assert [one.what for one in refused_losses({"steps": [step("vaporise", DATABASE)]})] == ["vaporise"]


def test_taking_off_the_protection_is_refused_before_the_deletion_comes() -> None:
    bare = step("update", DATABASE)
    bare["newState"]["protect"] = False
    assert [one.what for one in refused_losses({"steps": [bare]})] == ["unprotected"]


def test_a_type_is_read_from_the_urn_when_there_is_no_state() -> None:
    (one,) = refused_losses({"steps": [{"op": "delete", "urn": urn(ELASTICSEARCH, "search")}]})
    assert (one.type, one.name) == (ELASTICSEARCH, "search")


def test_one_named_resource_may_be_given_up_and_no_other() -> None:
    plan = {"steps": [step("delete", DATABASE, "old"), step("delete", DATABASE, "new")]}
    assert [one.name for one in refused_losses(plan, [urn(DATABASE, "old")])] == ["new"]


def test_the_report_says_what_is_lost_and_how_to_do_it_on_purpose() -> None:
    text = refusal_text(refused_losses({"steps": [step("delete", CLAIM, "data-0")]}))
    assert "data-0: deleted" in text
    assert "the disk and what is on it" in text
    assert "--allow URN" in text
    assert urn(CLAIM, "data-0") in text


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (json.dumps({"steps": []}), 0),
        (json.dumps({"steps": [step("delete", DATABASE)]}), 1),
        ("Previewing update (prod):", 2),
        ("[]", 2),
        ("{}", 2),
    ],
)
def test_the_exit_code_says_which(tmp_path: Path, content: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(content)
    assert guard.main([str(plan)]) == code
    said = capsys.readouterr()
    assert ("pulumi preview --json" in said.err) == (code == 2)


def test_a_missing_file_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="No such file"):
        guard.read_preview(str(tmp_path / "none.json"))
