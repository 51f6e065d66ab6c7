"""In the place of Pulumi, for releases on a node: what `up` and `destroy` of a color's stack come to, by server-side apply and deletion.

The objects are those that the color's own program registers, the rights are a release's, the order is the program's: a Service and its binding
before the Deployment, which is waited for; at the end what came last goes first, and each object is waited for. Everything else of the adapter is
its own. Not here: the engine, its state and locks, the provider (tests/engine has those).
"""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from contract.names import DEPLOYMENT
from teal.aws.pod_reasons import pod_reasons
from teal.aws.pulumi.operation import PulumiOperationFailed
from teal.aws.runtime import PulumiRuntime
from teal.events import Event
from teal.record.model import Color, ColorState
from tests.cluster.apiserver import ApiServer, Refused
from tests.cluster.objects import APART, as_sent
from tests.node.release.eks import TOKEN
from tests.unit.infra import service_program

WAIT_SECONDS: Final = 300.0  # for a Deployment; Pulumi waits 465, and for a deletion 600
_POLL_SECONDS: Final = 1.0
_MANAGER: Final = "pulumi-kubernetes"
_LAST: Final = (
    "HorizontalPodAutoscaler",
    "ScaledObject",
    "PodDisruptionBudget",
    "CronJob",
)  # after the pods, as in infra/service
_FIRST: Final = ("Service", "TargetGroupBinding")


@dataclass(frozen=True)
class AppliedRuntime(PulumiRuntime):
    """The adapter without its engine."""

    def deploy(self, color: Color, state: ColorState) -> Iterator[Event]:
        server = self._server()
        yield Event("deploy", "start", color)
        for document in self._objects(color, state):
            server.apply(document, _MANAGER)
            yield Event("deploy", "progress", f"{document['kind']} {document['metadata']['name']}")
        deadline = time.monotonic() + WAIT_SECONDS
        while not self._available(color):
            if time.monotonic() > deadline:
                namespace = self.jobs[color].namespace
                why = "; ".join(pod_reasons(self.cluster, namespace, self.cluster.pods(namespace, "teal/color")))
                raise PulumiOperationFailed(f"deploy failed: {why}", where=f"stack {self.stack}-{color}", next="teal repair")
            time.sleep(_POLL_SECONDS)
            yield Event("deploy", "progress", "waiting for the Deployment")
        yield Event("deploy", "ok", color)

    def retire(self, color: Color) -> Iterator[Event]:
        server = self._server()
        yield Event("retire", "start", color)
        state = ColorState(release_id="r-1", image=f"{json.loads(self.platform)['repository_url']}@sha256:{'0' * 64}", config={}, index="teal",
                           schema_min="", schema_max="", replica_floor=0)  # fmt: skip
        for document in reversed(self._objects(color, state)):
            try:
                server.ask("DELETE", server.path(document), {"propagationPolicy": "Foreground"})
            except Refused as refused:
                if refused.code != httpx.codes.NOT_FOUND:
                    raise
            while server.read(document) is not None:
                time.sleep(_POLL_SECONDS)
                yield Event("retire", "progress", f"waiting for the end of {document['kind']} {document['metadata']['name']}")
        yield Event("retire", "ok", color)

    def pending(self, color: Color) -> tuple[str, ...]:
        return ()

    def mend(self, color: Color) -> Iterator[Event]:
        yield Event("mend", "ok", color)

    def _available(self, color: Color) -> bool:
        found: Mapping[str, Any] = self.cluster.deployment(self.jobs[color].namespace, DEPLOYMENT) or {}
        status, wanted = found.get("status", {}), found.get("spec", {}).get("replicas", 1)
        seen = status.get("observedGeneration", 0) >= found.get("metadata", {}).get("generation", 1)
        return seen and {status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")} == {wanted}

    def _objects(self, color: Color, state: ColorState) -> list[dict[str, Any]]:
        made = service_program.evaluate(self.stack, json.loads(self.platform), color, **state.model_dump(mode="json"))
        found = [
            as_sent(dict(one.inputs)) for one in made.resources if one.type.startswith("kubernetes:") and one.type not in APART
        ]
        return sorted(found, key=lambda one: (one["kind"] in _LAST) - (one["kind"] in _FIRST))

    def _server(self) -> ApiServer:
        access = json.loads(self.platform)["cluster"]
        trust = ssl.create_default_context(cadata=base64.b64decode(access["ca_data"]).decode())
        client = httpx.Client(base_url=access["endpoint"], verify=trust, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
        return ApiServer(access["endpoint"], Path(), client)
