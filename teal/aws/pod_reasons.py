"""Why a pod on AWS does not run, in Kubernetes' own words: by its status, or by its events where the status says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from teal.aws.kubernetes import KubernetesClient

# A pod whose volume cannot be mounted is in the same state as one that is about to start: a secret that is missing, or that its role may not
# read, is named by the event alone.
MOUNT: Final = "FailedMount"
_STARTING: Final = ("ContainerCreating", "PodInitializing")


def pod_reasons(cluster: KubernetesClient, namespace: str, pods: Iterable[Mapping[str, Any]]) -> list[str]:
    """Of those that do not run and say why, each reason once. Cost: a request for each pod that is about to start."""
    found = [pod_failure(pod) or (_mount_failure(cluster, namespace, pod) if _is_starting(pod) else "") for pod in pods]
    return list(dict.fromkeys(filter(None, found)))


def pod_failure(pod: Mapping[str, Any]) -> str:
    """Kubernetes' reason why a pod does not run; empty when its status has none."""
    status = pod.get("status", {})
    for each in status.get("containerStatuses", []):
        waiting = each.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in _STARTING:
            return f"{waiting.get('reason')}: {waiting.get('message', '')}".rstrip(": ")
        if not each.get("ready") and each.get("lastState", {}).get("terminated"):
            ended = each["lastState"]["terminated"]
            return f"ended with code {ended.get('exitCode')}: {ended.get('reason', '')}".rstrip(": ")
    for each in status.get("conditions", []):
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return f"{each.get('reason')}: {each.get('message', '')}".rstrip(": ")
    return ""


def _is_starting(pod: Mapping[str, Any]) -> bool:
    """Whether its volumes may be what it waits for: its containers cannot be made yet."""
    conditions = {each["type"]: each["status"] for each in pod.get("status", {}).get("conditions", [])}
    if conditions.get("PodReadyToStartContainers") == "True":  # comes after the mounts; events of then are still there
        return False
    waiting = [each.get("state", {}).get("waiting") or {} for each in pod.get("status", {}).get("containerStatuses", [])]
    return any(each.get("reason") in _STARTING for each in waiting)


def _mount_failure(cluster: KubernetesClient, namespace: str, pod: Mapping[str, Any]) -> str:
    """The newest event that says why a volume of the pod is not mounted."""
    failed = [event for event in cluster.warnings(namespace, str(pod["metadata"]["name"])) if event.get("reason") == MOUNT]
    newest = max(failed, key=lambda event: event.get("lastTimestamp") or event["metadata"]["creationTimestamp"], default=None)
    return f"{MOUNT}: {newest.get('message', '')}".rstrip(": ") if newest else ""
