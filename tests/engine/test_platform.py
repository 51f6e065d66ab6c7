"""The platform program through the real engine, from an empty stack to an empty stack. The tests are one story and run in this order."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator

import pytest

from infra.evaluation.evaluate import ROOT, stack_values
from teal.aws.names import StateNames
from teal.aws.pulumi.cli import PulumiCli
from teal.aws.session import Aws
from teal.aws.teardown import destroy
from teal.aws.teardown import order as teardown
from tests.engine.conftest import Engine
from tests.engine.workspace import Workspace
from tests.services.aws_server import REGION, start
from tests.unit.infra.delivery.provider_reads import LEFT_OUT

STACK = "dev"
RULE = "aws:lb/listenerRule:ListenerRule"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
DATABASE = "aws:rds/instance:Instance"
LOGS = "aws:cloudwatch/logGroup:LogGroup"


@pytest.fixture(scope="module")
def workspace(engine: Engine) -> Workspace:
    # ECK makes this secret when it makes the search engine; the program waits for its set-up Job, which needs both, and reads it.
    engine.cloud.others["kubernetes:core/v1:Secret", "teal-search/teal-es-http-certs-public"] = {"data": {"ca.crt": "Y2E="}}
    made = engine.open("teal", ROOT / "infra")
    made.stack(STACK, stack_values(STACK))
    return made


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with start() as server:
        server.reset()
        aws = Aws(server.client, REGION)
        aws.eks.create_cluster(name=f"teal-{STACK}", roleArn="arn:aws:iam::123456789012:role/c", resourcesVpcConfig={})
        yield aws


def test_a_preview_of_an_empty_stack_creates_everything_and_touches_nothing(engine: Engine, workspace: Workspace) -> None:
    summary = workspace.preview(STACK)["changeSummary"]
    assert set(summary) == {"create"}
    assert summary["create"] > 150
    assert engine.cloud.things == {}


def test_up_makes_what_the_preview_said(engine: Engine, workspace: Workspace) -> None:
    promised = workspace.preview(STACK)["changeSummary"]["create"]
    began = time.monotonic()
    made = workspace.up(STACK)
    print(f"up: {made} in {time.monotonic() - began:.1f} s")
    assert made == {"create": promised}
    assert engine.cloud.one(DATABASE, "database").inputs["deletionProtection"] is True


def test_up_again_changes_nothing(engine: Engine, workspace: Workspace) -> None:
    engine.cloud.done.clear()
    began = time.monotonic()
    made = workspace.up(STACK)
    print(f"up again: {made} in {time.monotonic() - began:.1f} s")
    assert set(made) == {"same"}
    assert engine.cloud.done == []


def test_a_refresh_of_what_nobody_touched_finds_nothing(engine: Engine, workspace: Workspace) -> None:
    began = time.monotonic()
    workspace.must("refresh", "--stack", STACK, "--yes", "--skip-preview")
    print(f"refresh: {workspace.changes(STACK)} in {time.monotonic() - began:.1f} s")
    assert set(workspace.changes(STACK)) == {"same"}
    assert engine.cloud.done == []


def test_the_nightly_look_at_drift_reads_all_but_what_only_secrets_would_tell(engine: Engine, workspace: Workspace) -> None:
    """The workflow's own line, and a log's life that somebody shortened."""
    line = (ROOT / ".github" / "workflows" / "drift.yml").read_text().split("pulumi refresh ", 1)[1].split(" > ", 1)[0]
    options = shlex.split(line.replace("$STACK", STACK).replace("\\\n", " "))
    engine.cloud.read.clear()
    assert workspace.run("refresh", *options).code == 0
    assert not engine.cloud.read & set(LEFT_OUT)
    kinds = {str(row["type"]) for row in workspace.state(STACK) if row.get("id") and not str(row["type"]).startswith("pulumi:")}
    assert engine.cloud.read == kinds - set(LEFT_OUT)
    log = next(thing for thing in engine.cloud.things.values() if thing.type == LOGS)
    days = log.inputs["retentionInDays"]
    engine.cloud.change(LOGS, log.name, retentionInDays=1)
    found = workspace.run("refresh", *options)
    assert found.code != 0
    assert log.name in found.text
    engine.cloud.change(LOGS, log.name, retentionInDays=days)


def test_a_shifted_weight_is_not_undone_but_other_changes_are(engine: Engine, workspace: Workspace) -> None:
    """`teal` moves the shares of the catch-all rule; somebody also shortens a log's life by hand."""
    (rule,) = [thing for thing in engine.cloud.things.values() if thing.type == RULE and thing.name.endswith("-shares")]
    groups = [thing.outputs["arn"] for thing in engine.cloud.things.values() if thing.type == TARGET_GROUP]
    shares = [{"arn": arn, "weight": weight} for arn, weight in zip(groups, (42, 58), strict=True)]
    shifted = [{"type": "forward", "forward": {"targetGroups": shares}}]
    assert shifted != rule.inputs["actions"]
    engine.cloud.change(RULE, rule.name, actions=shifted)
    log = next(thing for thing in engine.cloud.things.values() if thing.type == LOGS)
    days = log.inputs["retentionInDays"]
    engine.cloud.change(LOGS, log.name, retentionInDays=1)
    engine.cloud.done.clear()
    workspace.up(STACK, "--refresh")
    assert engine.cloud.one(RULE, rule.name).inputs["actions"] == shifted
    assert engine.cloud.one(LOGS, log.name).inputs["retentionInDays"] == days
    assert engine.cloud.done == [("update", LOGS, log.name)]


def test_the_deletion_of_a_protected_resource_is_refused(engine: Engine, workspace: Workspace) -> None:
    urn = next(row["urn"] for row in workspace.state(STACK) if row["type"] == DATABASE)
    engine.cloud.done.clear()
    ended = workspace.run("destroy", "--stack", STACK, "--yes", "--skip-preview", "--target", urn, "--target-dependents")
    assert ended.code != 0
    assert "protect" in ended.text
    assert not [entry for entry in engine.cloud.done if entry[0] == "delete" and entry[1] == DATABASE]
    assert engine.cloud.one(DATABASE, "database")


@pytest.fixture
def programs(workspace: Workspace) -> destroy.Programs:
    """Both are the platform's project here; tests/engine/test_service.py has the other."""
    cli = PulumiCli(workspace.folder, workspace.environment["PULUMI_BACKEND_URL"], workspace.environment)
    return destroy.Programs(cli, cli)


NAMES = StateNames(STACK, "123456789012", REGION)


def test_without_data_the_database_stays_and_the_cluster_goes(engine: Engine, programs: destroy.Programs) -> None:
    resources = programs.platform.resources(STACK)
    assert teardown.bound_data(teardown.phases(resources), resources) == ()


def test_destroy_goes_from_the_inside_out_and_leaves_nothing(engine: Engine, programs: destroy.Programs, aws: Aws) -> None:
    plan = destroy.plan_destroy(programs, NAMES, destroy.DestroyRequest(STACK, delete_data=True))
    assert plan.colors == ()
    kinds = {phase.name: {urn.split("::")[2].rsplit("$", 1)[-1] for urn in phase.targets} for phase in plan.phases}
    engine.cloud.done.clear()
    began = time.monotonic()
    list(destroy.run_destroy(aws, programs, plan))
    deleted = [kind for verb, kind, _ in engine.cloud.done if verb == "delete"]
    print(f"destroy: {len(deleted)} deleted in {time.monotonic() - began:.1f} s")
    operated = {kind for kind in kinds["custom resources"] if "elastic.co" in kind or "keda.sh" in kind}
    assert operated
    assert max(place for place, kind in enumerate(deleted) if kind in operated) < deleted.index("kubernetes:helm.sh/v3:Release")
    assert max(place for place, kind in enumerate(deleted) if kind.startswith("kubernetes:")) < deleted.index(
        "aws:eks/cluster:Cluster"
    )
    assert deleted.index("aws:eks/cluster:Cluster") < deleted.index("aws:ec2/vpc:Vpc")
    assert engine.cloud.things == {}
    assert programs.platform.stacks() == ()
