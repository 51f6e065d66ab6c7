"""The daily test of snapshots: restores the newest search snapshot beside the index in use, with the color's own image."""

from __future__ import annotations

from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import batch

from contract import names, pods
from infra.service.inputs import Inputs
from infra.service.pods import job_pod

COMPONENT: Final = "verify"
SCHEDULE: Final = "40 4 * * *"  # UTC; after the night's maintenance of the database, which may take an hour from 03:30
# The greatest age of the newest snapshot: by default SLM takes one each 6 h; a daily one has two hours to finish
OLDEST_HOURS: Final = 26
DEADLINE_SECONDS: Final = 4 * 3600  # enough to restore hundreds of gigabytes


class Check(pulumi.ComponentResource):
    """A CronJob with the identity of search's operator, which may restore. Each color has one; the second finds the snapshot
    already noted as tested. Cost: one pod for minutes, and the room of the restored index meanwhile."""

    def __init__(self, name: str, inputs: Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:service:Check", name, None, opts)
        metadata = {
            "name": f"{names.CHECK}-{inputs.record.color}",  # those of both colors are in the operator's namespace
            "namespace": inputs.platform.operator_namespace,
            "labels": inputs.labels(COMPONENT),
        }
        batch.v1.CronJob(
            name,
            metadata=cast(Any, metadata),
            spec=cast(Any, cron_job(inputs)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def cron_job(inputs: Inputs) -> dict[str, Any]:
    """The CronJob's spec."""
    arguments = ("verify", "--max-age-hours", str(OLDEST_HOURS))
    pod = job_pod(inputs, COMPONENT, arguments, pods.OPERATOR)
    return {
        "schedule": SCHEDULE,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": {"backoffLimit": 1, "activeDeadlineSeconds": DEADLINE_SECONDS, "template": pod}},
    }
