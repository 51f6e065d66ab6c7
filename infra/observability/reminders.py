"""Messages by the calendar, for work that no metric asks for. EventBridge Scheduler publishes them to the topic of the alerts.

Sources: hashicorp/terraform-provider-aws, website/docs/r/scheduler_schedule (universal targets take the input of the SDK's call).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import scheduler

from infra.platform.service_role import service_role

PUBLISH: Final = "arn:aws:scheduler:::aws-sdk:sns:publish"  # the universal target: SNS's own call, with a subject


@dataclass(frozen=True)
class Reminder:
    """`schedule` is AWS's cron in UTC; `runbook` is the slug of the page that says what to do."""

    name: str
    schedule: str
    subject: str
    runbook: str

    @property
    def message(self) -> str:
        return f"{self.subject}. runbooks/{self.runbook}.md"


# Secrets Manager rotates the database's password by itself after 1,000 days (infra/platform/stores/database.py), and pods that run
# then lose new connections. Whoever follows the yearly reminder is two years ahead of it.
REMINDERS: Final = (
    Reminder("rotate-password", "cron(0 9 15 1 ? *)", "Rotate the database's password this week, with a release", "secret-rotation"),
)  # fmt: skip


@dataclass(frozen=True)
class RemindersArgs:
    prefix: str
    topic_arn: pulumi.Input[str]
    topics_key_arn: pulumi.Input[str]


class Reminders(pulumi.ComponentResource):
    """A schedule for each reminder, and the role that publishes them. Cost: none, a few calls a year are free."""

    def __init__(self, name: str, args: RemindersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Reminders", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        allowed = [
            {"Sid": "Publish", "Effect": "Allow", "Action": ["sns:Publish"], "Resource": args.topic_arn},
            {
                "Sid": "TopicKey",
                "Effect": "Allow",
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": args.topics_key_arn,
            },
        ]
        role, rights = service_role(name, f"{args.prefix}-reminders", "scheduler.amazonaws.com", allowed, child)
        for one in REMINDERS:
            scheduler.Schedule(
                f"{name}-{one.name}",
                name=f"{args.prefix}-{one.name}",
                description=one.subject,
                schedule_expression=one.schedule,
                flexible_time_window={"mode": "OFF"},
                target={
                    "arn": PUBLISH,
                    "role_arn": role.arn,
                    "input": pulumi.Output.json_dumps(
                        {"TopicArn": args.topic_arn, "Subject": f"{args.prefix}: {one.subject}"[:100], "Message": one.message}
                    ),
                },
                opts=pulumi.ResourceOptions(parent=self, depends_on=[rights]),
            )
        self.register_outputs({})
