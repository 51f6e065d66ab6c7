"""A color's program through the real engine: made, made again, released anew, removed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.evaluation.evaluate import ROOT
from tests.engine.conftest import Engine
from tests.engine.workspace import Workspace
from tests.unit.infra.service_program import platform_outputs, record

STACK = "dev-blue"


def config(**changed: Any) -> dict[str, str]:
    return {
        "teal-service:record": json.dumps(record("blue", **changed)),
        "teal-service:platform": json.dumps(platform_outputs("dev")),
    }


@pytest.fixture(scope="module")
def workspace(engine: Engine) -> Workspace:
    made = engine.open("teal-service", ROOT / "infra" / "service")
    made.stack(STACK, config())
    return made


def test_a_color_is_made_with_its_binding_before_its_pods(engine: Engine, workspace: Workspace) -> None:
    summary = workspace.preview(STACK)["changeSummary"]
    assert set(summary) == {"create"}
    assert engine.cloud.things == {}
    assert workspace.up(STACK) == summary
    made = [kind.rsplit(":", 1)[-1] for verb, kind, _ in engine.cloud.done if verb == "create"]
    assert (
        made.index("Service")
        < made.index("TargetGroupBinding")
        < made.index("Deployment")
        < made.index("HorizontalPodAutoscaler")
    )
    assert made.index("StatefulSet") < made.index("ScaledObject")


def test_the_same_record_again_changes_nothing(engine: Engine, workspace: Workspace) -> None:
    engine.cloud.done.clear()
    assert set(workspace.up(STACK)) == {"same"}
    assert engine.cloud.done == []


def test_a_new_release_changes_pods_and_the_workers_query_alone(engine: Engine, workspace: Workspace) -> None:
    for key, value in config(release_id="r-2", replica_floor=4).items():
        workspace.must("config", "set", "--stack", STACK, key, value)
    engine.cloud.done.clear()
    workspace.up(STACK)
    assert {(verb, kind.rsplit(":", 1)[-1]) for verb, kind, _ in engine.cloud.done} == {
        ("update", kind) for kind in ("Deployment", "StatefulSet", "CronJob", "ScaledObject", "HorizontalPodAutoscaler")
    }


def test_pods_that_an_autoscaler_added_are_not_taken_away(engine: Engine, workspace: Workspace) -> None:
    """Where the number stands in the cluster is not where it stands in the program: nowhere."""
    engine.cloud.done.clear()
    deployment = next(thing for thing in engine.cloud.things.values() if thing.type.endswith(":Deployment"))
    deployment.outputs = {**deployment.outputs, "spec": {**deployment.outputs["spec"], "replicas": 9}}
    workspace.up(STACK, "--refresh")
    assert engine.cloud.done == []


def test_a_retired_color_leaves_nothing_and_its_pods_go_before_their_binding(engine: Engine, workspace: Workspace) -> None:
    engine.cloud.done.clear()
    workspace.must("destroy", "--stack", STACK, "--yes", "--skip-preview")
    gone = [kind.rsplit(":", 1)[-1] for verb, kind, _ in engine.cloud.done if verb == "delete"]
    assert engine.cloud.things == {}
    assert (
        gone.index("HorizontalPodAutoscaler")
        < gone.index("Deployment")
        < gone.index("TargetGroupBinding")
        < gone.index("Service")
    )
