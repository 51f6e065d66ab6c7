"""What is said of a pod that does not run: its status, or the event of a mount that failed. No cluster: see docs/proof.md."""

from __future__ import annotations

from typing import Any

import pytest

from teal.aws.pod_reasons import pod_failure, pod_reasons
from tests.services.cluster_server import ClusterServer

EVENTS = "/api/v1/namespaces/teal-blue/events"
CREATING = {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}


def pod(status: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "teal-1"}, "status": status}


def event(message: str, minute: int, reason: str = "FailedMount") -> dict[str, Any]:
    return {"reason": reason, "message": message, "lastTimestamp": f"2026-11-30T06:{minute:02}:00Z", "metadata": {}}


def test_a_pod_whose_volume_is_not_mounted_says_the_newest_reason() -> None:
    server = ClusterServer()
    server.objects[EVENTS] = {"items": [event("newer", 2), event("older", 1), event("probe", 3, "Unhealthy")]}
    assert pod_reasons(server.cluster(), "teal-blue", [pod(CREATING), pod(CREATING)]) == ["FailedMount: newer"]


def test_a_pod_that_is_about_to_start_says_nothing() -> None:
    assert pod_reasons(ClusterServer().cluster(), "teal-blue", [pod(CREATING)]) == []


def test_a_mount_that_failed_before_it_succeeded_is_no_reason() -> None:
    server = ClusterServer()
    server.objects[EVENTS] = {"items": [event("the agent is not up", 1)]}
    mounted = {**CREATING, "conditions": [{"type": "PodReadyToStartContainers", "status": "True"}]}
    assert pod_reasons(server.cluster(), "teal-blue", [pod(mounted)]) == []


def test_a_status_with_a_reason_needs_no_event() -> None:
    server = ClusterServer()
    failed = {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such digest"}}}]}
    assert pod_reasons(server.cluster(), "teal-blue", [pod(failed)]) == ["ErrImagePull: no such digest"]
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}]}, "no node"),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        ({"containerStatuses": [{"ready": True, "state": {"running": {}}}]}, ""),
        (
            {"containerStatuses": [{"ready": False, "state": {}, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]},
            "137: OOMKilled",
        ),
    ],
)  # fmt: skip
def test_what_keeps_a_pod_from_running_is_said_in_kubernetes_words(status: dict[str, Any], words: str) -> None:
    assert words in pod_failure({"status": status})
    assert bool(words) == bool(pod_failure({"status": status}))
