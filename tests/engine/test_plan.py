"""`teal plan` with the real Pulumi command, the repository's own policy pack and guard. One story, in this order."""

from __future__ import annotations

import json

import pytest

from infra.evaluation.evaluate import ROOT
from teal.aws import cost, plan, tools
from teal.aws.plan import PlanRefused
from teal.aws.pulumi.cli import PulumiCli
from teal.events import Event
from tests.engine.conftest import Engine
from tests.engine.workspace import Workspace

STACK = "dev"
PROGRAM = """
import pulumi
from pulumi_aws import rds
wanted = pulumi.Config()
if not wanted.get_bool("gone"):
    rds.Instance(
        "database", instance_class="db.t4g.micro", publicly_accessible=wanted.get_bool("public"), storage_encrypted=True,
        backup_retention_period=7, deletion_protection=True, skip_final_snapshot=False, opts=pulumi.ResourceOptions(protect=True),
    )
"""


@pytest.fixture(scope="module")
def workspace(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    program = tmp_path_factory.mktemp("program")
    (program / "__main__.py").write_text(PROGRAM)
    made = engine.open("teal", program)
    for name in ("infra", ".venv"):  # the pack, the guard and what they run on, where a checkout has them
        (made.folder / name).symlink_to(ROOT / name)
    made.stack(STACK, {"teal:public": True})
    return made


@pytest.fixture(autouse=True)
def within_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this program's price nor the `aws` command is what these tests are about."""
    monkeypatch.setattr(cost, "read_bill", lambda *_: {"unpriced": [], "over_budget": False})
    monkeypatch.setattr(tools, "require_versions", lambda *_: None)


def checked(workspace: Workspace, *allowed: str) -> tuple[list[Event], PlanRefused | None]:
    cli = PulumiCli(workspace.folder, workspace.environment["PULUMI_BACKEND_URL"], workspace.environment)
    seen: list[Event] = []
    try:
        seen.extend(plan.run_checks(workspace.folder, STACK, cli, plan.AcceptedRisks(allowed), workspace.folder / "plan.json"))
    except PlanRefused as refused:
        return seen, refused
    return seen, None


def test_a_plan_that_breaks_a_rule_is_refused_and_the_rule_is_named(workspace: Workspace) -> None:
    seen, refused = checked(workspace)
    assert refused is not None
    assert refused.what.endswith("refused: policies")
    assert refused.exit_code == 1
    (broken,) = [event.detail for event in seen if event.step == "policies"]
    assert broken == "exposure: database: the database has a public address; set publicly_accessible to False"


def test_a_plan_that_keeps_all_rules_and_takes_nothing_away_passes(workspace: Workspace) -> None:
    workspace.must("config", "set", "teal:public", "false", "--stack", STACK)
    seen, refused = checked(workspace)
    assert refused is None
    assert [(event.step, event.state) for event in seen] == [
        ("price", "ok"), ("preview", "ok"), ("policies", "ok"), ("guard", "ok"),
    ]  # fmt: skip
    assert seen[1].data["changes"]["create"] == 2
    assert json.loads((workspace.folder / "plan.json").read_text())["changeSummary"] == {"create": 2}


def test_a_plan_that_takes_data_away_is_refused_unless_that_was_decided(workspace: Workspace) -> None:
    workspace.up(STACK)
    (urn,) = [str(row["urn"]) for row in workspace.state(STACK) if row["type"] == "aws:rds/instance:Instance"]
    workspace.must("state", "unprotect", urn, "--stack", STACK, "--yes")  # else the engine itself refuses
    workspace.must("config", "set", "teal:gone", "true", "--stack", STACK)
    seen, refused = checked(workspace)
    assert refused is not None
    assert refused.what.endswith("refused: guard")
    assert urn in seen[-1].detail
    assert checked(workspace, urn)[1] is None
