"""What others reported of clusters like this one (docs/proof.md, "Reports of others"), held by the program itself."""

from __future__ import annotations

import pytest

from contract.color import ColorState
from infra.evaluation.evaluate import Evaluation
from teal.aws.jobs import STAYS, JobSettings, manifest
from tests.unit.infra.conftest import STACKS, evaluate, of_type


@pytest.mark.parametrize("stack", STACKS)
def test_keda_and_an_autoscaler_never_share_a_target(stack: str) -> None:
    made = evaluate("service", stack)
    kinds = ("kubernetes:autoscaling/v2:HorizontalPodAutoscaler", "kubernetes:keda.sh/v1alpha1:ScaledObject")
    targets = [
        (one.inputs["metadata"]["namespace"], *(one.inputs["spec"]["scaleTargetRef"][key] for key in ("kind", "name")))
        for kind in kinds
        for one in of_type(made, kind)
    ]
    assert len(targets) == len(set(targets)) == 2


@pytest.mark.parametrize("stack", STACKS)
def test_a_budget_of_disruptions_never_stops_the_rotation_of_a_single_pod(stack: str) -> None:
    budgets = of_type(evaluate("service", stack), "kubernetes:policy/v1:PodDisruptionBudget")
    assert budgets
    assert all(one.inputs["spec"].get("maxUnavailable") == 1 and "minAvailable" not in one.inputs["spec"] for one in budgets)


def test_the_way_to_s3_is_closed_by_no_policy_so_that_layers_of_images_pass(platform: Evaluation) -> None:
    (endpoint,) = of_type(platform, "aws:ec2/vpcEndpoint:VpcEndpoint")
    assert endpoint.inputs["vpcEndpointType"] == "Gateway"
    assert "policy" not in endpoint.inputs
    private = [one for one in of_type(platform, "aws:ec2/routeTable:RouteTable") if "private" in one.name]
    assert len(endpoint.inputs["routeTableIds"]) == len(private) > 0


def test_a_job_of_a_release_is_not_moved_to_save_a_machine() -> None:
    state = ColorState(release_id="r", image="i@sha256:" + "a" * 64, index="i", schema_min="1", schema_max="1", replica_floor=0)
    job = manifest("admin-1", "blue", state, JobSettings("teal-blue", "dev", "eu-central-1", (), "1000m", 2048), ("index",))
    assert job["spec"]["template"]["metadata"]["annotations"] == STAYS
