"""Promises of `teal alert test`: what it says was taken was received, and what was not received it does not say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from teal import alert
from teal.alert import CHANNEL_VARIABLE, NotReceived
from teal.aws import alert as aws_alert
from teal.aws.session import AwsFailed
from teal.cli import run
from teal.laptop.layout import Layout
from teal.ports.alert import SentMessage
from tests.services import aws_server
from tests.services.http_stand_in import Handler, listening
from tests.services.ports import free_port
from tests.unit.teal.test_alert import MESSAGE


@contextmanager
def webhook(status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver on loopback, and what it was sent."""
    received: list[dict[str, Any]] = []

    class Hook(Handler):
        def do_POST(self) -> None:
            received.append(json.loads(self.received()))
            self.answer(status)

    with listening(Hook) as port:
        yield f"http://127.0.0.1:{port}/hooks/a-secret-path", received


def test_the_command_s_alert_arrives_at_the_webhook(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with webhook() as (address, received):
        monkeypatch.setenv(CHANNEL_VARIABLE, address)
        assert run(["alert", "test", "--json"]) == 0
    (body,) = received
    assert (body["version"], body["status"], body["commonLabels"]["alertname"]) == ("4", "firing", "AlertChannelTest")
    assert json.loads(capsys.readouterr().out) == {"channel": "127.0.0.1", "id": body["alerts"][0]["fingerprint"]}


def test_a_refused_alert_is_a_failure_that_does_not_show_the_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with webhook(500) as (address, _):
        monkeypatch.setenv(CHANNEL_VARIABLE, address)
        assert run(["alert", "test", "--json"]) == 1
    said = capsys.readouterr()
    assert "refused the alert with 500" in said.out + said.err
    assert "a-secret-path" not in said.out + said.err


def test_a_webhook_that_is_away_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(NotReceived, match="did not answer: ConnectError"):
        alert.send(MESSAGE, {CHANNEL_VARIABLE: f"http://127.0.0.1:{free_port()}/"}, Layout(tmp_path))


def test_on_aws_the_topic_s_subscriber_receives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with aws_server.start() as server:
        server.reset()
        sns, sqs = server.client("sns"), server.client("sqs")
        topic = sns.create_topic(Name="teal-dev-alerts")["TopicArn"]
        queue = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"])
        outputs = _outputs(tmp_path, topic)
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",  # pragma: allowlist secret
            "TEAL_ROOT": str(tmp_path),
            "TEAL_PLATFORM_OUTPUTS": str(outputs),
        }.items():
            monkeypatch.setenv(name, value)
        # moto keeps no history of an alarm's actions; tests/unit/teal/aws/test_protection.py drives one.
        driven: list[tuple[str, str]] = []
        monkeypatch.setattr(
            aws_alert, "drive", lambda _client, alarm, to: driven.append((alarm, to)) or SentMessage("alarm", alarm)
        )
        assert run(["alert", "test", "--stack", "dev", "--json"]) == 0
        assert driven == [("teal-dev-BackupFailed", topic)]
        (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    body = json.loads(message["Body"])
    said = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (body["Subject"], body["MessageId"], said["channel"]) == ("firing: AlertChannelTest", said["id"], topic)
    assert body["MessageAttributes"]["severity"]["Value"] == "ticket"


def test_a_topic_that_is_not_there_is_said(tmp_path: Path) -> None:
    with aws_server.start() as server, pytest.raises(AwsFailed, match="Publishing the alert failed"):
        aws_alert.publish(server.client("sns"), f"arn:aws:sns:{aws_server.REGION}:123456789012:gone")


def _outputs(folder: Path, topic: str) -> Path:
    """The platform's outputs as a file, and the stack's own file beside it."""
    (folder / "Pulumi.dev.yaml").write_text(f"config:\n  aws:region: {aws_server.REGION}\n", encoding="utf-8")
    outputs = folder / "outputs.json"
    color = {"blue": "b", "green": "g"}
    outputs.write_text(
        json.dumps(
            {
                "region": aws_server.REGION, "account_id": "123456789012", "environment": "dev", "url": "https://teal.example",
                "cluster": {"name": "teal-dev", "endpoint": "https://cluster", "ca_data": ""}, "rule_arn": "arn:rule",
                "target_group_arns": color, "probe_header": "X-Teal-Probe", "probe_secret_arns": color, "namespaces": color,
                "repository_url": "registry/teal", "release_bucket": "releases", "app_environment": {}, "app_secrets": {},
                "prometheus_query_url": "https://prometheus", "topic_arn": topic, "operator_namespace": "teal-operator",
                "vpc_cidr": "10.0.0.0/16",
                "service_defaults": {"cpu": "500m", "memory_mib": 1024, "min_replicas": 2},
            }
        ),
        encoding="utf-8",
    )  # fmt: skip
    return outputs
