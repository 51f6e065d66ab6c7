"""The part of a color that ingests: a StatefulSet, because a DBOS executor id must be the same when its pod comes back."""

from __future__ import annotations

from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import apiextensions, apps, policy

from infra.components.autoscaling import AUTHENTICATION
from infra.service.given import Given
from infra.service.pods import labels, worker_pod
from infra.service.web import disruption

NAME: Final = "teal-worker"
_POLL_SECONDS: Final = 15  # one counting query each
_CALM_SECONDS: Final = 300  # documents come in batches
# Jobs that wait or run, of this release only: the other color's are its own workers' until they are re-homed (app/ingest.py).
_QUERY: Final = (
    "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"
    " AND queue_name IN ('ingest', 'remove') AND application_version = '{release_id}'"
)


class Worker(pulumi.ComponentResource):
    """StatefulSet, KEDA's ScaledObject and PDB. Cost: its pods' CPU and memory; with `worker_min: 0` none while nothing waits."""

    def __init__(self, name: str, given: Given, ready: list[pulumi.Resource], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:service:Worker", name, None, opts)
        metadata = {"name": NAME, "namespace": given.namespace, "labels": labels(given, "worker")}
        workers = apps.v1.StatefulSet(
            name,
            metadata=cast(Any, metadata),
            spec=cast(Any, stateful_set(given)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=ready),
        )
        apiextensions.CustomResource(
            name,
            api_version="keda.sh/v1alpha1",
            kind="ScaledObject",
            metadata=cast(Any, metadata),
            spec=scaled_object(given),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[workers]),
        )
        policy.v1.PodDisruptionBudget(
            name,
            metadata=cast(Any, metadata),
            spec=cast(Any, disruption(labels(given, "worker"))),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def stateful_set(given: Given) -> dict[str, Any]:
    """The StatefulSet's spec, without `replicas`: KEDA owns that number."""
    return {
        "serviceName": NAME,  # nobody addresses a worker, so there is no such Service
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate"},
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": labels(given, "worker")},
        "template": worker_pod(given),
    }


def scaled_object(given: Given) -> dict[str, Any]:
    """KEDA's spec: one worker for each `jobs_per_worker` jobs. While the database does not answer, the bounds' lower end, at least one."""
    defaults = given.platform.service_defaults
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": NAME},
        "pollingInterval": _POLL_SECONDS,
        "cooldownPeriod": _CALM_SECONDS,
        "minReplicaCount": defaults.worker_min,
        "maxReplicaCount": defaults.worker_max,
        "fallback": {"failureThreshold": 4, "replicas": max(1, defaults.worker_min)},
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": _CALM_SECONDS}}}},
        "triggers": [
            {
                "type": "postgresql",
                "metricType": "AverageValue",
                "metadata": {
                    "query": _QUERY.format(release_id=given.record.release_id),
                    "targetQueryValue": str(defaults.jobs_per_worker),
                },
                "authenticationRef": {"name": AUTHENTICATION},
            }
        ],
    }
