"""A stand-in for the controller of TargetGroupBindings, which on EKS Auto Mode is AWS's own and in no module.

It does what the open one does, read in kubernetes-sigs/aws-load-balancer-controller at 225f4456 (2026-08-17):

| what | where |
|---|---|
| a finalizer on the binding; its end deregisters all targets, waits for nothing, and calls the pods' gates true | controllers/elbv2/targetgroupbinding_controller.go, pkg/targetgroupbinding/resource_manager.go `Cleanup` |
| targets are the Service's endpoints that are ready, and those whose containers are (the gate alone is missing), but none that ends | pkg/backend/endpoint_resolver.go |
| a gate is true only while the target group calls the target healthy | resource_manager.go `calculateReadinessGateTransition` |
| a pod that is made gets a gate when its namespace is labelled and a binding's Service selects it; else it is made without one | pkg/inject/pod_readiness/pod_readiness_gate.go; the webhook's failure policy is Ignore |

It looks anew twice a second where the open one watches. The gate's name is the open one's; Auto Mode's was not found.
"""

from __future__ import annotations

import base64
import json
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tests.cluster.apiserver import ApiServer, Refused
from tests.services.aws_server import AwsServer
from tests.services.beside import beside

LABEL: Final = "eks.amazonaws.com/pod-readiness-gate-inject"
FINALIZER: Final = "elbv2.k8s.aws/resources"
GATE: Final = "target-health.elbv2.k8s.aws"
LOOK_SECONDS: Final = 0.5
_BINDINGS: Final = "/apis/eks.amazonaws.com/v1/targetgroupbindings"
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}
_STRATEGIC: Final = {"Content-Type": "application/strategic-merge-patch+json"}


@dataclass
class Controller:
    """`failures`: what went wrong in a look, as text; the next look does it again."""

    server: ApiServer
    aws: AwsServer
    failures: list[str] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        elbv2 = self.aws.client("elbv2")
        while not self._end.wait(LOOK_SECONDS):
            try:
                for binding in self.server.ask("GET", _BINDINGS)["items"]:
                    self._reconcile(binding, elbv2)
            except Refused as refused:
                if refused.code not in (404, 409, 422):  # what it saw has changed meanwhile
                    self.failures.append(str(refused))
            except Exception:  # noqa: BLE001 - a controller goes on
                self.failures.append(traceback.format_exc())

    def stop(self) -> None:
        self._end.set()

    def _reconcile(self, binding: Mapping[str, Any], elbv2: Any) -> None:
        metadata, arn = binding["metadata"], binding["spec"]["targetGroupARN"]
        rows = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        held = {row["Target"]["Id"]: row["TargetHealth"]["State"] for row in rows}
        if "deletionTimestamp" in metadata:
            if held:
                elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": address} for address in held])
            for pod in self._pods(metadata["namespace"]).values():
                self._gate(pod, metadata["name"], "healthy")
            self._finalizers(binding, [each for each in metadata.get("finalizers", ()) if each != FINALIZER])
            return
        if FINALIZER not in metadata.get("finalizers", ()):
            self._finalizers(binding, [*metadata.get("finalizers", ()), FINALIZER])
        pods = self._pods(metadata["namespace"])
        wanted = self._endpoints(metadata["namespace"], binding["spec"]["serviceRef"]["name"], pods)
        if gone := set(held) - set(wanted):
            elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": address} for address in sorted(gone)])
        if more := set(wanted) - set(held):
            targets = [{"Id": address, "Port": wanted[address][0]} for address in sorted(more)]
            elbv2.register_targets(TargetGroupArn=arn, Targets=targets)
        for address, (_, pod) in wanted.items():
            self._gate(pod, metadata["name"], held.get(address, "initial"))

    def _endpoints(self, namespace: str, service: str, pods: Mapping[str, Any]) -> dict[str, tuple[int, dict[str, Any]]]:
        """Port and pod of each address that is to be a target."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        found = {}
        for piece in self.server.ask("GET", path, params={"labelSelector": f"kubernetes.io/service-name={service}"})["items"]:
            for endpoint in piece.get("endpoints") or ():
                pod, state = pods.get(endpoint.get("targetRef", {}).get("name", "")), endpoint.get("conditions", {})
                if pod is None or not piece.get("ports"):
                    continue
                able = _condition(pod, "ContainersReady").get("status") == "True" and not state.get("terminating")
                if state.get("ready", True) or able:
                    found[endpoint["addresses"][0]] = (int(piece["ports"][0]["port"]), pod)
        return found

    def _pods(self, namespace: str) -> dict[str, dict[str, Any]]:
        return {pod["metadata"]["name"]: pod for pod in self.server.ask("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]}

    def _gate(self, pod: Mapping[str, Any], binding: str, state: str) -> None:
        kind, status = f"{GATE}/{binding}", "True" if state == "healthy" else "False"
        if kind not in [gate["conditionType"] for gate in pod["spec"].get("readinessGates", ())]:
            return
        held = _condition(pod, kind)
        if (held.get("status"), held.get("reason", "")) == (status, "" if status == "True" else state):
            return
        condition = {"type": kind, "status": status, "reason": "" if status == "True" else state,
                     "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}  # fmt: skip
        metadata = pod["metadata"]
        body = {"metadata": {"uid": metadata["uid"]}, "status": {"conditions": [condition]}}
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        self.server.ask("PATCH", path, body, headers=_STRATEGIC)

    def _finalizers(self, binding: Mapping[str, Any], kept: list[str]) -> None:
        version = binding["metadata"]["resourceVersion"]
        body = {"metadata": {"finalizers": kept, "resourceVersion": version}}
        self.server.ask("PATCH", self.server.path(binding), body, headers=_MERGE)


def webhook_object(url: str, authority: bytes) -> dict[str, Any]:
    """What tells the API server to ask for each new pod of a labelled namespace."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    webhook = {
        "name": "mpod.elbv2.k8s.aws", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
        "clientConfig": {"url": url, "caBundle": base64.b64encode(authority).decode()}, "rules": [rule],
        "namespaceSelector": {"matchLabels": {LABEL: "enabled"}},
    }  # fmt: skip
    metadata = {"name": "aws-load-balancer-webhook"}
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": metadata,
            "webhooks": [webhook]}  # fmt: skip


def admit(server: ApiServer, review: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to an AdmissionReview of a new pod: the gates of the bindings whose Service selects it."""
    asked = review["request"]
    namespace, pod = asked["namespace"], asked["object"]
    labels = pod["metadata"].get("labels", {})
    gates = []
    for binding in server.ask("GET", f"/apis/eks.amazonaws.com/v1/namespaces/{namespace}/targetgroupbindings")["items"]:
        name = binding["spec"]["serviceRef"]["name"]
        service = server.read({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}})
        selector = (service or {}).get("spec", {}).get("selector") or {}
        if selector and selector.items() <= labels.items():
            gates.append({"conditionType": f"{GATE}/{binding['metadata']['name']}"})
    response: dict[str, Any] = {"uid": asked["uid"], "allowed": True}
    if gates:
        patch = [{"op": "add", "path": "/spec/readinessGates", "value": [*pod["spec"].get("readinessGates", ()), *gates]}]
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


@contextmanager
def controlling(server: ApiServer, aws: AwsServer) -> Iterator[Controller]:
    """Until the end of the block."""
    controller = Controller(server, aws)
    with beside(controller, "bindings", stop_seconds=10):
        yield controller


def _condition(pod: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return next((each for each in pod.get("status", {}).get("conditions", ()) if each["type"] == kind), {})
