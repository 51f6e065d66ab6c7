"""The color's own autoscaler, told of the use of CPU by metrics-server, makes another pod under users' load, and no request is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from contract.names import DEPLOYMENT, NAMESPACES
from teal.record.model import Color
from tests.node import metrics
from tests.node.release.place import Place
from tests.node.release.story import active_color, timed, users, wait, web_pods

pytestmark = [pytest.mark.integration, pytest.mark.weekly, pytest.mark.timeout(1_800)]

# Two pods that ask for 200 millicores are to use 60 % of that each; at so many requests they use 150 % (measured, 2026-11-30).
PER_SECOND: Final = 30.0


@pytest.fixture
def measured(place: Place, first: str) -> Iterator[Place]:
    with metrics.serving(place.node):
        yield place


def test_load_makes_another_pod_and_no_request_is_lost(measured: Place, first: str) -> None:
    active, took = active_color(measured), dict[str, float]()
    before, most = len(web_pods(measured, active)), autoscaler(measured, active)["spec"]["maxReplicas"]
    assert before < most
    wait(lambda: cpu_percent(measured, active) is not None, "the autoscaler's measurement")
    calm = cpu_percent(measured, active)
    with users(measured, first, per_second=PER_SECOND):
        with timed(took, "until the autoscaler wanted more pods"):
            wait(lambda: autoscaler(measured, active)["status"]["desiredReplicas"] == most, "the autoscaler")
        loaded = cpu_percent(measured, active)
        with timed(took, "until they had requests"):
            wait(lambda: list(measured.targets(active).values()) == ["healthy"] * most, "targets")
    print(
        f"{calm} % of the requested CPU before, {loaded} % under {PER_SECOND:.0f} requests a second; {before} pods became {most}: {took}"
    )


def autoscaler(place: Place, color: Color) -> dict[str, Any]:
    path = f"/apis/autoscaling/v2/namespaces/{NAMESPACES[color]}/horizontalpodautoscalers/{DEPLOYMENT}"
    return place.node.server.ask("GET", path)


def cpu_percent(place: Place, color: Color) -> int | None:
    """Of what the pods ask for, as the autoscaler knows it."""
    found = autoscaler(place, color).get("status", {}).get("currentMetrics") or []
    return next((one["resource"]["current"].get("averageUtilization") for one in found if "resource" in one), None)
