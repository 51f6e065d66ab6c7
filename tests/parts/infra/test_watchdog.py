"""AWS's watchdog of releases, against moto's S3, ELBv2 and CloudWatch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.platform.ingress.watchdog_function import WatchedStack, log_line, watch_once

REGION = "eu-central-1"
NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
BUCKET = "releases"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchedStack]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        ec2, elb = client("ec2"), client("elbv2")
        subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"][:2]]
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        balancer = elb.create_load_balancer(Name="teal", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        groups = {
            color: elb.create_target_group(Name=color, Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]["TargetGroupArn"]
            for color in ("blue", "green")
        }
        page = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
        listener = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=[page])
        rule = elb.create_rule(
            ListenerArn=listener["Listeners"][0]["ListenerArn"],
            Priority=100,
            Conditions=[{"Field": "path-pattern", "Values": ["/*"]}],
            Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": weighted(groups, blue=75)}}],
        )["Rules"][0]["RuleArn"]
        yield WatchedStack(
            "test",
            BUCKET,
            "record.json",
            rule,
            "app/teal/1",
            {color: (arn, f"targetgroup/{color}/1") for color, arn in groups.items()},
        )


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


def weighted(groups: dict[str, str], blue: int) -> list[dict[str, Any]]:
    return [{"TargetGroupArn": groups["blue"], "Weight": blue}, {"TargetGroupArn": groups["green"], "Weight": 100 - blue}]


def blue_share(place: WatchedStack) -> int:
    (rule,) = client("elbv2").describe_rules(RuleArns=[place.rule_arn])["Rules"]
    held = {each["TargetGroupArn"]: each["Weight"] for each in rule["Actions"][0]["ForwardConfig"]["TargetGroups"]}
    return int(held[place.target_groups["blue"][0]])


def keep(**changes: Any) -> None:
    record = {
        "generation": 7,
        "active": "blue",
        "release": {"id": "r2", "target": "green", "step": "analyse-25", "phase": "Progressing", "note": "",
                    "started_at": (NOW - timedelta(minutes=10)).isoformat()},
        "lease": {"holder": "somebody", "token": "t", "expires_at": (NOW + timedelta(seconds=60)).isoformat()},
        "blue": None, "green": None, "history": ["r2", "r1"],
    } | changes  # fmt: skip
    client("s3").put_object(Bucket=BUCKET, Key="record.json", Body=json.dumps(record))


def kept() -> dict[str, Any]:
    return dict(json.loads(client("s3").get_object(Bucket=BUCKET, Key="record.json")["Body"].read()))


def dead() -> dict[str, Any]:
    return {"holder": "somebody", "token": "t", "expires_at": (NOW - timedelta(seconds=1)).isoformat()}


def count(place: WatchedStack, color: str, at: datetime, asked: int, failed: int) -> None:
    suffix = place.target_groups[color][1]
    dimensions = [{"Name": "LoadBalancer", "Value": place.load_balancer}, {"Name": "TargetGroup", "Value": suffix}]
    client("cloudwatch").put_metric_data(
        Namespace="AWS/ApplicationELB",
        MetricData=[
            {"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Value": value}
            for name, value in (("RequestCount", asked), ("HTTPCode_Target_5XX_Count", failed))
        ],
    )


def test_the_traffic_of_a_dead_releaser_goes_back_and_the_record_says_why(place: WatchedStack) -> None:
    keep(lease=dead())
    why = watch_once(client, place, NOW)
    assert why is not None
    assert "gave no sign of life while green had 25 %" in why
    assert blue_share(place) == 100
    record = kept()
    assert (record["generation"], record["lease"], record["release"]["phase"]) == (8, None, "RollingBack")
    assert record["release"]["note"] == f"watchdog: {why}"
    assert watch_once(client, place, NOW + timedelta(minutes=1)) is None


def test_a_living_releaser_is_left_alone(place: WatchedStack) -> None:
    keep()
    count(place, "blue", NOW - timedelta(minutes=1), asked=900, failed=1)
    assert watch_once(client, place, NOW) is None
    assert (blue_share(place), kept()["generation"]) == (75, 7)


def test_users_that_suffer_since_the_release_began_get_their_color_back_though_the_releaser_lives(place: WatchedStack) -> None:
    keep()
    count(place, "blue", NOW - timedelta(minutes=30), asked=1000, failed=10)
    count(place, "blue", NOW - timedelta(minutes=1), asked=300, failed=200)
    why = watch_once(client, place, NOW)
    assert why is not None
    assert "200 of 300 requests to blue failed" in why
    assert blue_share(place) == 100
    assert kept()["generation"] == 8  # its releaser finds another generation and stops


def test_a_service_that_was_broken_before_may_be_mended_by_a_release(place: WatchedStack) -> None:
    keep()
    count(place, "blue", NOW - timedelta(minutes=30), asked=1000, failed=700)
    count(place, "blue", NOW - timedelta(minutes=1), asked=300, failed=200)
    assert watch_once(client, place, NOW) is None


@pytest.mark.parametrize(
    "record", [None, {"release": None}, {"active": "green", "lease": dead()}, {"active": None, "lease": dead()}]
)
def test_what_is_nobodys_emergency_is_not_touched(place: WatchedStack, record: dict[str, Any] | None) -> None:
    if record is not None:
        keep(**record)
    assert watch_once(client, place, NOW) is None
    assert blue_share(place) == 75


def test_the_log_line_is_the_alarms_metric() -> None:
    line = json.loads(log_line("prod", "users suffered", NOW))
    (metric,) = line["_aws"]["CloudWatchMetrics"]
    assert (metric["Namespace"], line["Stack"], line["TrafficGivenBack"]) == ("Teal/Watchdog", "prod", 1)
    assert json.loads(log_line("prod", None, NOW))["TrafficGivenBack"] == 0
