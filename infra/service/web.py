"""The web pods of a color. The target group binding is created before the pods,
so that every pod gets the load balancer's readiness gate."""

from __future__ import annotations

from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import apiextensions, apps, autoscaling, core, policy

from contract.http import POD_PORT
from contract.names import DEPLOYMENT as NAME
from infra.service.inputs import Inputs
from infra.service.pods import START_SECONDS, web_pod

_CALM_SECONDS: Final = 300  # wait after a peak before pods are removed, because peaks come in groups
# Pulumi waits for the first pod of a new color: the autoscaler comes after the Deployment. When pods are renewed they start in waves of a quarter.
_UPDATE_SECONDS: Final = 900


class WebPods(pulumi.ComponentResource):
    """Service, target group binding, Deployment, HPA and PDB. Cost: its pods' CPU and memory on Auto Mode nodes."""

    deployment: apps.v1.Deployment

    def __init__(self, name: str, inputs: Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:service:Web", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        metadata = {"name": NAME, "namespace": inputs.namespace, "labels": inputs.labels("app")}
        # The pods are created after it, so waiting for its endpoints here would never end.
        unawaited = {**metadata, "annotations": {"pulumi.com/skipAwait": "true"}}
        service = core.v1.Service(
            name,
            metadata=cast(Any, unawaited),
            spec={
                "selector": inputs.labels("app"),
                "ports": [{"name": "http", "port": POD_PORT, "target_port": "http", "protocol": "TCP"}],
            },
            opts=child,
        )
        binding = apiextensions.CustomResource(
            name,
            api_version="eks.amazonaws.com/v1",
            kind="TargetGroupBinding",
            metadata=cast(Any, metadata),
            spec={
                "serviceRef": {"name": NAME, "port": POD_PORT},
                "targetGroupARN": inputs.platform.target_group_arns[inputs.record.color],
                "targetType": "ip",
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[service]),
        )
        self.deployment = apps.v1.Deployment(
            name,
            metadata=cast(Any, metadata),
            spec=cast(Any, deployment(inputs)),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[service, binding],
                custom_timeouts=pulumi.CustomTimeouts(create=f"{START_SECONDS}s", update=f"{_UPDATE_SECONDS}s"),
            ),
        )
        after = pulumi.ResourceOptions(parent=self, depends_on=[self.deployment])
        # `teal` changes the minimum during a release, and is its owner then: without force the next `up` would be refused.
        forced = {**metadata, "annotations": {"pulumi.com/patchForce": "true"}}
        autoscaling.v2.HorizontalPodAutoscaler(name, metadata=cast(Any, forced), spec=cast(Any, autoscaler(inputs)), opts=after)
        policy.v1.PodDisruptionBudget(
            name, metadata=cast(Any, metadata), spec=cast(Any, disruption(inputs.labels("app"))), opts=child
        )
        self.register_outputs({})


def deployment(inputs: Inputs) -> dict[str, Any]:
    """The Deployment's spec. Without `replicas`: the autoscaler owns that number, and a release must not set it back."""
    return {
        "selector": {"matchLabels": inputs.labels("app")},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "revisionHistoryLimit": 2,  # a rollback uses the other color, not an old ReplicaSet
        "progressDeadlineSeconds": START_SECONDS,  # without one more pod that is ready
        "template": web_pod(inputs),
    }


def autoscaler(inputs: Inputs) -> dict[str, Any]:
    """The HPA's spec. With `replica_floor` as minimum, a release starts with as many pods as the active color has now; `teal` sets it back
    when the release is over."""
    defaults = inputs.platform.service_defaults
    least = max(defaults.min_replicas, inputs.record.replica_floor)
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
        "minReplicas": least,
        "maxReplicas": max(defaults.max_replicas, least),
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": defaults.target_cpu_percent}},
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": _CALM_SECONDS}},
    }


def disruption(selected: dict[str, str]) -> dict[str, Any]:
    """The PDB's spec: nodes rotate one pod at a time.
    By `maxUnavailable`, because `minAvailable: 1` with one pod would block every rotation."""
    return {"maxUnavailable": 1, "selector": {"matchLabels": selected}, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
