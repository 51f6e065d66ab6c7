"""Stands in for scheduler and kubelet: every pod is ready at once, and every pod of a Job has ended well.

The pods are those that the real controller manager makes; nothing runs in them. They are never bound to a node, so that the API server
removes a deleted one at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tests.cluster.apiserver import ApiServer, Refused

LOOK_SECONDS: Final = 0.3
_ADDRESS: Final = "192.0.2.1"  # reserved for documentation: nobody answers there


@dataclass
class Pods:
    """Those of one server."""

    server: ApiServer
    _ended: threading.Event = field(default_factory=threading.Event)
    _held: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def ready(self) -> Iterator[Pods]:
        """Every pod is, until the end of the block."""
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """New pods stay as they are until the end of the block."""
        self._held.set()
        try:
            yield
        finally:
            self._held.clear()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            if not self._held.is_set():
                _make_ready(self.server)


def _make_ready(server: ApiServer) -> None:
    for pod in server.ask("GET", "/api/v1/pods", params={"fieldSelector": "status.phase=Pending"})["items"]:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        try:
            server.ask(
                "PATCH", path, {"status": _status(pod)}, headers={"Content-Type": "application/strategic-merge-patch+json"}
            )
        except Refused as refused:
            if refused.code != 404:  # it was deleted meanwhile
                raise


def _status(pod: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    job = any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", ()))
    state = {"terminated": {"exitCode": 0, "startedAt": now, "finishedAt": now}} if job else {"running": {"startedAt": now}}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", ())]
    return {
        "phase": "Succeeded" if job else "Running",
        "startTime": now,
        "podIP": _ADDRESS,
        "podIPs": [{"ip": _ADDRESS}],
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": now}
            for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready", *gates)
        ],
        "containerStatuses": [
            {
                "name": one["name"],
                "image": one["image"],
                "imageID": one["image"],
                "ready": not job,
                "restartCount": 0,
                "state": state,
            }
            for one in pod["spec"]["containers"]
        ],
    }
