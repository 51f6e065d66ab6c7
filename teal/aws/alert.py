"""`teal alert test --stack`: one message to the topic that alarms, Prometheus and the budget publish to."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from teal.alert import NAME, RUNBOOK, Sent
from teal.aws import platform as outputs
from teal.aws import stack_file
from teal.aws.names import StateNames
from teal.aws.session import open_aws, told
from teal.errors import BadInput


def send(stack: str, environ: Mapping[str, str]) -> Sent:
    """To the stack's topic, with the shell's own credentials: they need sns:Publish on it, and kms:GenerateDataKey and kms:Decrypt on
    its key. Raises BadInput when the platform is not built, AwsFailed when AWS refuses."""
    root = Path(environ.get("TEAL_ROOT", ".")).resolve()
    aws = open_aws(stack_file.read(root, stack).region)
    names = StateNames(stack, aws.account_id(), aws.region)
    found = outputs.read(stack, root, {"PULUMI_BACKEND_URL": names.backend_url, **environ})
    if found.topic_arn is None:
        raise BadInput(
            "The platform has no topic for alerts yet", where=f"Pulumi stack {stack}", next=f"pulumi up --stack {stack}"
        )
    return publish(aws.connect("sns"), found.topic_arn)


def publish(sns: Any, topic_arn: str) -> Sent:
    """In the form that managed Prometheus gives its messages (infra/components/prometheus.py)."""
    text = f"A test of the alert channel from {socket.gethostname()}. Nothing is wrong. - {RUNBOOK}\n"
    with told("Publishing the alert", topic_arn):
        answer = sns.publish(
            TopicArn=topic_arn,
            Subject=f"firing: {NAME}",
            Message=text,
            MessageAttributes={"severity": {"DataType": "String", "StringValue": "ticket"}},
        )
    return Sent(topic_arn, str(answer["MessageId"]))
