"""What `kubectl drain` does, by the API: no new pod may come, and each pod is asked to go by an eviction, which a disruption budget may put off.

Source: evictPods in Go module k8s.io/kubectl v0.35.4, pkg/drain/drain.go.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.cluster.apiserver import Refused
from tests.node.node import Node

PUT_OFF_SECONDS: Final = 5.0  # kubectl's, after a budget has refused
# Of a whole drain: a web pod goes on answering for a minute before it ends, and the next one waits for a new one.
LIMIT_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Drained:
    """`put_off`: refusals by a disruption budget."""

    seconds: float
    evicted: int
    put_off: int


def allow(node: Node, *, pods: bool) -> None:
    """Whether new pods may come (`kubectl uncordon`, `kubectl cordon`)."""
    node.server.ask(
        "PATCH", f"/api/v1/nodes/{node.name}", {"spec": {"unschedulable": not pods}},
        headers={"Content-Type": "application/merge-patch+json"},
    )  # fmt: skip


def drain(node: Node, namespaces: Collection[str]) -> Drained:
    """Until no pod of these namespaces is left on it; others stay. Raises TimeoutError with those that do not go."""
    began = time.monotonic()
    allow(node, pods=False)
    evicted, put_off, again = set[str](), 0, dict[str, float]()
    while there := on(node, namespaces):
        if time.monotonic() - began > LIMIT_SECONDS:
            raise TimeoutError(f"still on {node.name} after {LIMIT_SECONDS:.0f} s: {sorted(map(_name, there))}")
        for pod in there:
            uid = pod["metadata"]["uid"]
            if uid in evicted or time.monotonic() < again.get(uid, 0.0):
                continue
            if try_to_evict(node, pod):
                evicted.add(uid)
            else:
                put_off += 1
                again[uid] = time.monotonic() + PUT_OFF_SECONDS
        time.sleep(0.2)
    return Drained(time.monotonic() - began, len(evicted), put_off)


def on(node: Node, namespaces: Collection[str]) -> list[dict[str, Any]]:
    """The pods of these namespaces on a node, those too that are ending, and none whose program has ended by itself."""
    found = node.server.ask("GET", "/api/v1/pods", params={"fieldSelector": f"spec.nodeName={node.name}"})["items"]
    return [pod for pod in found if pod["metadata"]["namespace"] in namespaces and not _has_ended(pod)]


def try_to_evict(node: Node, pod: dict[str, Any]) -> bool:
    """Whether the budget lets it go now, or it has gone meanwhile."""
    metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    try:
        node.server.ask("POST", f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction", body)
    except Refused as refused:
        if refused.code not in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.NOT_FOUND):
            raise
        return refused.code == httpx.codes.NOT_FOUND
    return True


def _has_ended(pod: dict[str, Any]) -> bool:
    """As a Job's pod that stays to be read."""
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def _name(pod: dict[str, Any]) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
