"""`teal alert test --stack`: sends one message to the topic that alarms, Prometheus and the budget publish to,
and makes one alarm publish there too."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from teal.aws import platform as outputs
from teal.aws import stack_file
from teal.aws.names import StateNames
from teal.aws.session import open_aws, translate_aws_errors
from teal.errors import BadInput, OperatorError
from teal.ports.alert import NAME, RUNBOOK, SentMessage

ALARM: Final = "BackupFailed"  # an alarm that wakes nobody
_LOOKS: Final = 12
_LOOK_SECONDS: Final = 5.0  # an alarm's action follows its state within seconds; a minute is a fault


class NotPublished(OperatorError):
    """An alarm went into ALARM, and its message did not reach the topic."""

    code = "alert-not-published"


def send(stack: str, environ: Mapping[str, str]) -> tuple[SentMessage, SentMessage]:
    """Publish one message to the stack's topic, and make an alarm publish another by setting its state.

    Needs, of the shell's credentials: sns:Publish on the topic, kms:GenerateDataKey and kms:Decrypt on its key, and CloudWatch's
    SetAlarmState and DescribeAlarmHistory on the alarm.
    Raises NotPublished, BadInput when the platform is not built, AwsFailed when AWS refuses."""
    root = Path(environ.get("TEAL_ROOT", ".")).resolve()
    aws = open_aws(stack_file.read_stack_file(root, stack).region)
    names = StateNames(stack, aws.account_id(), aws.region)
    found = outputs.read_platform(stack, root, {"PULUMI_BACKEND_URL": names.backend_url, **environ})
    if found.topic_arn is None:
        raise BadInput(
            "The platform has no topic for alerts yet",
            where=f"Pulumi stack {stack}",
            next=f"teal plan {stack} && pulumi up --stack {stack}",
        )
    return (
        publish(aws.connect("sns"), found.topic_arn),
        drive(aws.connect("cloudwatch"), f"{names.prefix}-{ALARM}", found.topic_arn),
    )


def drive(cloudwatch: Any, alarm: str, topic_arn: str, pause: Callable[[float], None] = time.sleep) -> SentMessage:
    """Set an alarm's state to ALARM and wait until CloudWatch has published.
    It publishes with its own rights on topic and key, not the caller's.

    The alarm is set to OK at once, and CloudWatch evaluates it anew within its period. Raises NotPublished.
    """
    since = datetime.now(UTC)
    with translate_aws_errors("Driving the alarm", alarm):
        cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason=f"A test of the alert channel. {RUNBOOK}")
        try:
            for _ in range(_LOOKS):
                page = cloudwatch.describe_alarm_history(AlarmName=alarm, HistoryItemType="Action", StartDate=since)
                told_ = [json.loads(one["HistoryData"]) for one in page["AlarmHistoryItems"]]
                done = [one for one in told_ if one.get("notificationResource") == topic_arn]
                if done and done[0].get("actionState") == "Failed":
                    raise NotPublished(
                        f"CloudWatch could not publish: {done[0].get('error')}", where=alarm,
                        next="look at the key's policy for cloudwatch.amazonaws.com (infra/platform/keys.py)",
                    )  # fmt: skip
                if done:
                    return SentMessage(f"{topic_arn} by alarm", alarm)
                pause(_LOOK_SECONDS)
        finally:
            cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="The test of the alert channel is over.")
    raise NotPublished(
        f"CloudWatch published nothing within {_LOOKS * _LOOK_SECONDS:g} s",
        where=alarm,
        next=f"aws cloudwatch describe-alarm-history --alarm-name {alarm}",
    )


def publish(sns: Any, topic_arn: str) -> SentMessage:
    """Publish a test message in the form of managed Prometheus' messages (infra/observability/prometheus.py)."""
    text = f"A test of the alert channel from {socket.gethostname()}. Nothing is wrong. - {RUNBOOK}\n"
    with translate_aws_errors("Publishing the alert", topic_arn):
        answer = sns.publish(
            TopicArn=topic_arn,
            Subject=f"firing: {NAME}",
            Message=text,
            MessageAttributes={"severity": {"DataType": "String", "StringValue": "ticket"}},
        )
    return SentMessage(topic_arn, str(answer["MessageId"]))
