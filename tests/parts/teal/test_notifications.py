"""Notifications to a real webhook on loopback and to SNS as moto emulates it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from contract.steering import Notification, Steering
from teal.release.announce import announce, finish
from teal.release.context import ReleaseRun
from teal.release.runner import ReleaseRequest, release
from teal.release.senders.sender import NotificationNotSent
from teal.release.senders.sns import send as to_sns
from teal.release.senders.webhook import send as to_webhook
from tests.parts.teal.test_alert import webhook
from tests.parts.teal.test_hooks import service
from tests.services import aws_server
from tests.unit.teal.release.ports import World


def world() -> World:
    made = World()
    made.begin()
    made.put_image("new")
    return made


def test_a_release_tells_slack_when_it_begins_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    made = world()
    with webhook() as (address, received):
        monkeypatch.setenv("SLACK", address)
        steering = Steering(notifications=(Notification(send="webhook", to="env:SLACK"),))
        list(release(made.process(steering=lambda: steering).target, ReleaseRequest(Path("new"))))
    made.assert_whole()
    assert [set(body) for body in received] == [{"text"}, {"text"}]
    assert "begins: to green" in received[0]["text"]
    assert "is over, Healthy" in received[1]["text"]
    assert b"a-secret-path" not in b"".join(made.objects.values()), "the address is in no record"
    assert any(b'"to": "env:SLACK"' in body for body in made.objects.values())


def test_a_message_calls_nobody_and_opens_no_link_of_its_own() -> None:
    with webhook() as (address, received):
        to_webhook(address, "failed: <!channel> & <https://evil.test|log>", 5)
    assert received == [{"text": "failed: &lt;!channel&gt; &amp; &lt;https://evil.test|log&gt;"}]


def test_a_refusal_is_tried_once_more_and_told_without_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook(status=500) as (address, received):
        monkeypatch.setenv("SLACK", address)
        failed = _announced("env:SLACK", 10)
    assert len(received) == 2
    assert failed == ("webhook: the webhook refused it with 500",)
    failed = _announced("env:SLACK", 10)  # nobody listens any more
    assert failed[0].startswith("webhook: the webhook did not answer: ")
    monkeypatch.setenv("SLACK", "not an address")
    assert _announced("env:SLACK", 10) == ("webhook: what the reference holds is no address of a webhook",)


def test_a_receiver_that_never_answers_costs_the_time_limit_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    with service(hangs=True) as (address, _):
        monkeypatch.setenv("SLACK", address)
        began = time.monotonic()
        (failed,) = _announced("env:SLACK", 0.5)
        assert failed in ("webhook: it was not sent within 0.5 s", "webhook: the webhook did not answer: ReadTimeout")
        assert time.monotonic() - began < 10


def test_an_answer_without_an_end_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with service(drips=True) as (address, received):
        monkeypatch.setenv("SLACK", address)
        assert _announced("env:SLACK", 10) == ()
    assert len(received) == 1


def _announced(to: str, seconds: float) -> tuple[str, ...]:
    """What failed of one message of a release that is under way."""
    made = world()
    running = release(made.process().target, ReleaseRequest(Path("new")))
    while made.load().release is None:
        next(running)
    from teal.record.lease import LeaseHolder
    from teal.record.releases import read_plan

    target = made.process().target
    plan = read_plan(target.store, made.load())
    lease = LeaseHolder.take(target.store, target.clock, 10, lambda record: record, force=True)
    run = ReleaseRun(
        target, lease, plan, steering=Steering(notifications=(Notification(send="webhook", to=to, timeout_seconds=seconds),))
    )
    announce(run, "start", "begins")
    return finish(run)


def test_sns_gets_the_text_and_a_subject_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws_server.start() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")  # pragma: allowlist secret
        sns, sqs = server.client("sns"), server.client("sqs")
        topic = sns.create_topic(Name="releases")["TopicArn"]
        queue = sqs.create_queue(QueueName="q")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        text = "teal prod: r1 is being undone: " + "ü" * 200 + "\nmore"
        to_sns(topic, text, 10)
        (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
        body = json.loads(message["Body"])
        assert body["Message"] == text
        assert body["Subject"].startswith("teal prod: r1 is being undone: ???")
        assert len(body["Subject"]) < 100
        with pytest.raises(NotificationNotSent, match="SNS refused it: NotFound"):
            to_sns(topic.replace("releases", "nobody"), text, 10)
