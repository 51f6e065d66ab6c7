"""The workers of a color: a StatefulSet, because a DBOS executor id must stay the same when its pod is replaced."""

from __future__ import annotations

from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import apiextensions, apps, policy

from contract.jobs import count_waiting
from contract.names import WORKERS as NAME
from infra.platform.cluster.autoscaling import AUTHENTICATION
from infra.service.inputs import Inputs
from infra.service.pods import START_SECONDS, worker_pod
from infra.service.web import disruption

_POLL_SECONDS: Final = 15  # one counting query each
_CALM_SECONDS: Final = 300  # wait before workers are removed, because documents come in batches


class WorkerPods(pulumi.ComponentResource):
    """StatefulSet, KEDA's ScaledObject and PDB. Cost: its pods' CPU and memory; with `worker_min: 0` none while nothing waits."""

    def __init__(self, name: str, inputs: Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:service:Worker", name, None, opts)
        metadata = {"name": NAME, "namespace": inputs.namespace, "labels": inputs.labels("worker")}
        workers = apps.v1.StatefulSet(
            name,
            metadata=cast(Any, metadata),
            spec=cast(Any, stateful_set(inputs)),
            opts=pulumi.ResourceOptions(parent=self, custom_timeouts=pulumi.CustomTimeouts(create=f"{START_SECONDS}s")),
        )
        apiextensions.CustomResource(
            name,
            api_version="keda.sh/v1alpha1",
            kind="ScaledObject",
            metadata=cast(Any, metadata),
            spec=scaled_object(inputs),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[workers]),
        )
        policy.v1.PodDisruptionBudget(
            name,
            metadata=cast(Any, metadata),
            spec=cast(Any, disruption(inputs.labels("worker"))),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def stateful_set(inputs: Inputs) -> dict[str, Any]:
    """The StatefulSet's spec, without `replicas`: KEDA owns that number."""
    return {
        "serviceName": NAME,  # required, but no such Service exists, because nothing connects to a worker
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate"},
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": inputs.labels("worker")},
        "template": worker_pod(inputs),
    }


def scaled_object(inputs: Inputs) -> dict[str, Any]:
    """KEDA's spec: one worker for each `jobs_per_worker` jobs. While the database cannot be reached, KEDA leaves the number as it is.

    `fallback` is for a query that fails on a connection that stands: it keeps the workers that there are, because they may be busy.
    From none KEDA starts none (read in its code).
    """
    defaults = inputs.platform.service_defaults
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": NAME},
        "pollingInterval": _POLL_SECONDS,
        "cooldownPeriod": _CALM_SECONDS,
        "minReplicaCount": defaults.worker_min,
        "maxReplicaCount": defaults.worker_max,
        "fallback": {"failureThreshold": 4, "replicas": max(1, defaults.worker_min), "behavior": "currentReplicasIfHigher"},
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": _CALM_SECONDS}}}},
        "triggers": [
            {
                "type": "postgresql",
                "metricType": "AverageValue",
                "metadata": {
                    "query": count_waiting(inputs.record.release_id),
                    "targetQueryValue": str(defaults.jobs_per_worker),
                },
                "authenticationRef": {"name": AUTHENTICATION},
            }
        ],
    }
