"""The Lambda function of the watchdog: each minute it checks whether a release's traffic must be returned, and returns it. It is
packed with contract/watchdog.py, which decides; besides these Lambda only has boto3.
It does not end the release: an alarm tells a person to run `teal repair`.

It ran against moto, never on AWS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from contract.watchdog import UserOutcomes, given_back, reason_to_return

LATELY: Final = timedelta(minutes=3)  # the load balancer's metrics have one-minute periods and are a minute late
BEFORE: Final = timedelta(hours=1)  # of the active color before the release: its usual failures
METRIC: Final = "TrafficGivenBack"
NAMESPACE: Final = "Teal/Watchdog"


@dataclass(frozen=True)
class WatchedStack:
    """The places of one stack's record and shares. `target_groups` by color: its ARN, and its suffix in metrics."""

    stack: str
    bucket: str
    record: str
    rule_arn: str
    load_balancer: str
    target_groups: Mapping[str, tuple[str, str]]


def watch_once(client: Callable[[str], Any], place: WatchedStack, now: datetime) -> str | None:
    """Check once; returns why the traffic was returned, or None. Lets AWS's errors pass; the next minute checks again."""
    s3, balancer = client("s3"), client("elbv2")
    try:
        found = s3.get_object(Bucket=place.bucket, Key=place.record)
    except s3.exceptions.NoSuchKey:
        return None  # nothing was ever released
    record = json.loads(found["Body"].read())
    release, active = record.get("release"), record.get("active")
    if release is None or active is None:
        return None
    share = _share(balancer, place, release["target"])
    began = datetime.fromisoformat(release["started_at"])
    metrics, suffix = client("cloudwatch"), place.target_groups[active][1]
    lately = _users(metrics, place.load_balancer, suffix, max(began, now - LATELY), now)
    before = _users(metrics, place.load_balancer, suffix, began - BEFORE, began)
    why = reason_to_return(record, share, now, lately, before)
    if why is None:
        return None
    _give(balancer, place, active)  # first: everything else may wait
    written = json.dumps(given_back(record, why)).encode()
    try:
        s3.put_object(Bucket=place.bucket, Key=place.record, Body=written, ContentType="application/json", IfMatch=found["ETag"])
    except s3.exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") not in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise
        return f"{why}; the record changed meanwhile and is looked at again"  # its releaser was only suspended
    return why


def _share(balancer: Any, place: WatchedStack, color: str) -> int:
    """Percent of the requests that the color gets."""
    (rule,) = balancer.describe_rules(RuleArns=[place.rule_arn])["Rules"]
    forward = [each for each in rule["Actions"] if each["Type"] == "forward"]
    if not forward:
        return 0  # the rule returns the page shown before the first release
    held = {each["TargetGroupArn"]: each.get("Weight", 1) for each in forward[0]["ForwardConfig"]["TargetGroups"]}
    return round(100 * held.get(place.target_groups[color][0], 0) / max(1, sum(held.values())))


def _give(balancer: Any, place: WatchedStack, active: str) -> None:
    """Give all requests to the active color, with the same action as `teal rollback` (teal/aws/traffic.py)."""
    groups = [{"TargetGroupArn": arn, "Weight": 100 if color == active else 0} for color, (arn, _) in place.target_groups.items()]
    forward = {"TargetGroups": groups, "TargetGroupStickinessConfig": {"Enabled": False}}
    balancer.modify_rule(RuleArn=place.rule_arn, Actions=[{"Type": "forward", "ForwardConfig": forward}])


def _users(metrics: Any, load_balancer: str, target_group: str, since: datetime, until: datetime) -> UserOutcomes:
    """The outcomes of a color's requests in that time, probes included, from the metrics of its target group."""
    dimensions = [{"Name": "LoadBalancer", "Value": load_balancer}, {"Name": "TargetGroup", "Value": target_group}]

    def query(identifier: str, name: str) -> dict[str, Any]:
        metric = {"Namespace": "AWS/ApplicationELB", "MetricName": name, "Dimensions": dimensions}
        return {"Id": identifier, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}

    queries = [query("asked", "RequestCount"), query("failed", "HTTPCode_Target_5XX_Count")]
    answer = metrics.get_metric_data(MetricDataQueries=queries, StartTime=since, EndTime=until)
    sums = {each["Id"]: int(sum(each["Values"])) for each in answer["MetricDataResults"]}
    return UserOutcomes(sums.get("failed", 0), sums.get("asked", 0))


def log_line(stack: str, why: str | None, now: datetime) -> str:
    """The log line in embedded metric format:
    CloudWatch makes the alarm's metric from it, so that the role needs no right to publish metrics."""
    counted = {"Namespace": NAMESPACE, "Dimensions": [["Stack"]], "Metrics": [{"Name": METRIC, "Unit": "Count"}]}
    described = {"Timestamp": int(now.timestamp() * 1000), "CloudWatchMetrics": [counted]}
    return json.dumps({"_aws": described, "Stack": stack, METRIC: 0 if why is None else 1, "why": why or ""})


def handle(_event: object, _context: object) -> None:
    """Lambda's handler. The variable `PLACE` is a `WatchedStack` as JSON."""
    import boto3

    place = WatchedStack(**json.loads(os.environ["PLACE"]))
    now = datetime.now(UTC)
    why = watch_once(lambda service: boto3.client(service), place, now)
    print(log_line(place.stack, why, now))  # noqa: T201
