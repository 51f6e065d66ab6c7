"""What AWS protects from deletion is let go by a tear-down, and an alarm is driven to see that CloudWatch itself may publish."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from teal.aws.alert import NotPublished, drive
from teal.aws.pulumi.cli import StateResource
from teal.aws.session import Aws
from teal.aws.teardown.emptying import take_protection_off

TOPIC = "arn:aws:sns:eu-central-1:111122223333:teal-dev-alerts"
ALARM = "teal-dev-BackupFailed"


def stubbed(service: str) -> tuple[Any, Stubber]:
    client = boto3.client(service, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")  # type: ignore[call-overload]
    stubber = Stubber(client)
    stubber.activate()
    return client, stubber


def test_the_load_balancer_and_the_cluster_are_let_go_and_what_is_gone_stops_nothing() -> None:
    elb, balancers = stubbed("elbv2")
    eks, clusters = stubbed("eks")
    arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/teal-dev/0123456789abcdef"
    off = [{"Key": "deletion_protection.enabled", "Value": "false"}]
    balancers.add_response("modify_load_balancer_attributes", {"Attributes": off}, {"LoadBalancerArn": arn, "Attributes": off})
    clusters.add_client_error(
        "update_cluster_config", "ResourceNotFoundException", expected_params={"name": "teal-dev", "deletionProtection": False}
    )
    resources = [
        StateResource("urn:a", "aws:lb/loadBalancer:LoadBalancer", arn, False),
        StateResource("urn:b", "aws:eks/cluster:Cluster", "teal-dev", True),
        StateResource("urn:c", "aws:rds/instance:Instance", "teal-dev-db", True),
    ]
    take_protection_off(Aws({"elbv2": elb, "eks": eks}.__getitem__, "eu-central-1"), resources)
    balancers.assert_no_pending_responses()
    clusters.assert_no_pending_responses()


def history(**data: str) -> dict[str, Any]:
    items = [{"HistoryItemType": "Action", "HistoryData": json.dumps(data), "Timestamp": datetime.now(UTC)}] if data else []
    return {"AlarmHistoryItems": items}


def rung(*pages: dict[str, Any]) -> tuple[Any, Stubber]:
    client, stubber = stubbed("cloudwatch")
    stubber.add_response("set_alarm_state", {}, {"AlarmName": ALARM, "StateValue": "ALARM", "StateReason": ANY})
    for page in pages:
        stubber.add_response("describe_alarm_history", page, {"AlarmName": ALARM, "HistoryItemType": "Action", "StartDate": ANY})
    stubber.add_response("set_alarm_state", {}, {"AlarmName": ALARM, "StateValue": "OK", "StateReason": ANY})
    return client, stubber


def test_an_alarm_rings_through_cloudwatch_s_own_rights_and_is_put_back() -> None:
    client, stubber = rung(history(), history(actionState="Succeeded", notificationResource=TOPIC))
    assert drive(client, ALARM, TOPIC, pause=lambda _: None).id == ALARM
    stubber.assert_no_pending_responses()


def test_a_key_that_cloudwatch_may_not_use_is_a_failure_and_not_silence() -> None:
    client, stubber = rung(
        history(actionState="Failed", notificationResource=TOPIC, error="Service: AWSKMS; AccessDeniedException")
    )
    with pytest.raises(NotPublished, match="AWSKMS") as raised:
        drive(client, ALARM, TOPIC, pause=lambda _: None)
    assert "infra/platform/keys.py" in raised.value.next
    stubber.assert_no_pending_responses()


def test_an_alarm_that_publishes_nothing_is_a_failure() -> None:
    client, _ = rung(*[history()] * 12)
    with pytest.raises(NotPublished, match="within 60 s"):
        drive(client, ALARM, TOPIC, pause=lambda _: None)
