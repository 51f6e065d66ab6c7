"""Each day the newest snapshot of search is restored for a test, beside the index in use, by the color's own image."""

from __future__ import annotations

from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import batch

from contract import names, pods
from infra.service.inputs import Inputs
from infra.service.pods import job_pod

COMPONENT: Final = "verify"
SCHEDULE: Final = "40 4 * * *"  # UTC; after the night's maintenance of the database, which may take an hour from 03:30
# So old may the newest snapshot be: SLM takes one each 6 h at its default, and a daily one has two hours to end
OLDEST_HOURS: Final = 26
DEADLINE_SECONDS: Final = 4 * 3600  # a restore of hundreds of gigabytes; longer is not an answer


class Check(pulumi.ComponentResource):
    """A CronJob as the search engine's operator, who may restore. Both colors have one, and each tests the same snapshot: the second finds
    it noted as tested. Cost: one pod for minutes, and the restored index's room while it lasts."""

    def __init__(self, name: str, inputs: Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:service:Check", name, None, opts)
        metadata = {
            "name": f"{names.CHECK}-{inputs.record.color}",  # both colors' are in the operator's namespace
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
