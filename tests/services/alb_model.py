"""What a load balancer's rules say about one request, as plain data: read from ELBv2's API, and judged as an Application Load Balancer does it.

| behaviour | source |
|---|---|
| a new target gets requests after one passed check; a group with unhealthy targets alone gets requests all the same | AWS, "Health checks for Application Load Balancer target groups" |
| a target that is deregistered gets no new requests, and the delay to finish those that it has | AWS, "Deregistration delay" |
| a group without targets, a target that closes or is silent: 503, 502, 504 of the load balancer's own | AWS, "Troubleshoot your Application Load Balancers" |
"""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

STICKY: Final = "AWSALBTG"  # the cookie of a rule's target-group stickiness


@dataclass(frozen=True)
class Check:
    """A target group's health check."""

    path: str
    interval_seconds: float
    timeout_seconds: float
    healthy_after: int
    unhealthy_after: int
    statuses: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """A target group. `targets`: address and port of each registered one."""

    arn: str
    check: Check
    delay_seconds: float
    least_outstanding: bool
    targets: frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Rule:
    """`headers`: patterns by lower-case name; `paths`: patterns. `forward`: weights by group, or None for the fixed page."""

    headers: Mapping[str, Sequence[str]]
    paths: Sequence[str]
    forward: Mapping[str, int] | None
    sticky: bool
    status: int = 503
    page: str = ""

    def applies(self, path: str, headers: Mapping[str, str]) -> bool:
        """Patterns know * and ?, and a header's are compared in any case, as the API's reference says."""
        plain = path.partition("?")[0]
        return (not self.paths or any(fnmatch.fnmatchcase(plain, each) for each in self.paths)) and all(
            any(fnmatch.fnmatch(headers.get(name, "").lower(), each.lower()) for each in values)
            for name, values in self.headers.items()
        )

    def choose(self, cookie: str) -> str | None:
        """The group of a request by the weights; None when all are 0. `cookie`: what the client sent of the stickiness."""
        held = {arn: weight for arn, weight in (self.forward or {}).items() if weight > 0}
        if self.sticky and (stuck := next((arn for arn in held if cookie == ticket(arn)), None)):
            return stuck
        return random.choices(list(held), list(held.values()))[0] if held else None


def ticket(arn: str) -> str:
    """The cookie's value for a group."""
    return arn.rpartition("/")[2]


def read_group(row: Mapping[str, Any], attributes: Mapping[str, str], targets: Sequence[Mapping[str, Any]]) -> Group:
    """From DescribeTargetGroups, DescribeTargetGroupAttributes and DescribeTargetHealth."""
    statuses = tuple(int(each) for each in row.get("Matcher", {}).get("HttpCode", "200").split(","))
    check = Check(
        row["HealthCheckPath"], float(row["HealthCheckIntervalSeconds"]), float(row["HealthCheckTimeoutSeconds"]),
        int(row["HealthyThresholdCount"]), int(row["UnhealthyThresholdCount"]), statuses,
    )  # fmt: skip
    return Group(
        row["TargetGroupArn"],
        check,
        float(attributes.get("deregistration_delay.timeout_seconds", 300)),
        attributes.get("load_balancing.algorithm.type") == "least_outstanding_requests",
        frozenset((each["Target"]["Id"], int(each["Target"]["Port"])) for each in targets),
    )


def read_rules(rows: Sequence[Mapping[str, Any]]) -> list[Rule]:
    """From DescribeRules, in the order in which they are asked; the default comes last."""
    ordered = sorted(
        rows, key=lambda row: (row["Priority"] == "default", 0 if row["Priority"] == "default" else int(row["Priority"]))
    )
    return [_rule(row) for row in ordered]


def _rule(row: Mapping[str, Any]) -> Rule:
    headers: dict[str, Sequence[str]] = {}
    paths: Sequence[str] = ()
    for condition in row.get("Conditions", ()):
        if condition["Field"] == "http-header":
            held = condition["HttpHeaderConfig"]
            headers[held["HttpHeaderName"].lower()] = held["Values"]
        elif condition["Field"] == "path-pattern":
            paths = condition.get("PathPatternConfig", {}).get("Values") or condition.get("Values", ())
        else:
            raise ValueError(f"this stand-in knows no condition on {condition['Field']}")
    (action,) = row["Actions"]
    if action["Type"] == "fixed-response":
        page = action["FixedResponseConfig"]
        return Rule(headers, paths, None, False, int(page["StatusCode"]), page.get("MessageBody", ""))
    config = action.get("ForwardConfig", {})
    groups = config.get("TargetGroups") or [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}]
    sticky = str(config.get("TargetGroupStickinessConfig", {}).get("Enabled", "")).lower() == "true"
    return Rule(headers, paths, {each["TargetGroupArn"]: int(each.get("Weight", 1)) for each in groups}, sticky)
