"""The `Traffic` port on AWS: shares are the two weights of one rule of an Application Load Balancer,
changed by one ModifyRule call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import stamina
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError

from contract.http import NOT_RELEASED
from teal.client.entry import ColorEndpoint
from teal.errors import OperatorError
from teal.ports.traffic import Weights, all_to
from teal.record.model import COLORS, Color

_Answer = TypeVar("_Answer")

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_elbv2.type_defs import ActionUnionTypeDef, RuleTypeDef

_CONNECT_SECONDS: Final = 2.0
_READ_SECONDS: Final = 3.0
# The last try starts at most 1 s after this and ends 5 s later, 9 s in all:
# no call of a stopped releaser outlasts the fence of 10 s.
_LAST_TRY_SECONDS: Final = 3.0
_TRIES: Final = 3


def client_config() -> Config:
    """The configuration of `Alb`'s client: one try a call, 5 s at most,
    because a call that outlasts the fence would undo a rollback."""
    return Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"total_max_attempts": 1})


class AlbTrafficFailed(OperatorError):
    """The load balancer could not be asked, refused, or holds other shares than were set."""

    code = "traffic-failed"

    def __init__(self, what: str, *, where: str, next: str = "teal repair") -> None:
        super().__init__(what, where=where, next=next)


@dataclass(frozen=True)
class Alb:
    """The `Traffic` port on the catch-all rule at `rule_arn`, which forwards to two permanent target groups.

    `probe_secret` reads a color's secret header value when it is asked for; the client's own retries must be off (`client_config`).
    """

    client: ElasticLoadBalancingv2Client
    rule_arn: str
    target_group_arns: Mapping[Color, str]
    url: str
    probe_header: str
    probe_secret: Callable[[Color], str] = field(repr=False)

    def read(self) -> Weights:
        """One DescribeRules. Raises AlbTrafficFailed for a rule edited by hand (another action, another target group)."""
        rules = _tell("DescribeRules", self.rule_arn, lambda: self.client.describe_rules(RuleArns=[self.rule_arn])["Rules"])
        if not rules:
            raise AlbTrafficFailed("The rule is not there", where=self.rule_arn, next="pulumi up of the platform")
        return self._weights(rules[0])

    def set(self, weights: Weights, *, check: Callable[[], None] | None = None) -> None:
        """One ModifyRule, retried for 3 s when AWS throttles or does not answer; then reads the shares back.
        Waits for nothing else.

        `check` runs before each try. AWS has no compare-and-set: a `set` takes effect even if another one came after its check,
        so a rollback sets its shares again until 10 s have passed.
        There is no stickiness: a rollback could not move browsers that stick to a color.
        """
        actions: list[ActionUnionTypeDef] = [
            {
                "Type": "forward",
                "ForwardConfig": {
                    "TargetGroups": [
                        {"TargetGroupArn": self.target_group_arns[color], "Weight": weights.of(color)} for color in COLORS
                    ],
                    "TargetGroupStickinessConfig": {"Enabled": False},
                },
            }
        ]

        def modify() -> object:
            if check is not None:
                check()
            return self.client.modify_rule(RuleArn=self.rule_arn, Actions=actions)

        _tell("ModifyRule", self.rule_arn, modify)
        found = self.read()
        if found != weights:
            raise AlbTrafficFailed(
                f"The load balancer holds {_words(found)} after {_words(weights)} was set: somebody else changes the same rule",
                where=self.rule_arn,
            )

    def entry(self, color: Color) -> ColorEndpoint:
        """The public address and the color's secret header.
        A permanent rule of its own sends such requests to the color, whatever its share."""
        return ColorEndpoint(url=self.url, headers={self.probe_header: self.probe_secret(color)})

    def _weights(self, rule: RuleTypeDef) -> Weights:
        pages = [action.get("FixedResponseConfig", {}).get("MessageBody") for action in rule.get("Actions", [])]
        if pages == [NOT_RELEASED]:
            return all_to("blue")  # before the first release the rule returns that page, and neither color serves
        forward = next((action for action in rule.get("Actions", []) if action.get("Type") == "forward"), None)
        if forward is None:
            raise AlbTrafficFailed("The rule does not forward", where=self.rule_arn, next="pulumi up of the platform")
        groups = forward.get("ForwardConfig", {}).get("TargetGroups") or [
            {"TargetGroupArn": forward["TargetGroupArn"], "Weight": 1}
        ]
        held = {group["TargetGroupArn"]: group.get("Weight", 1) for group in groups}
        strange = [arn for arn, weight in held.items() if weight and arn not in self.target_group_arns.values()]
        total = sum(held.values())
        if strange or total == 0:
            why = f"it forwards to {strange[0]}" if strange else "both shares are 0"
            raise AlbTrafficFailed(f"The rule is not as Teal left it: {why}", where=self.rule_arn)
        blue = round(100 * held.get(self.target_group_arns["blue"], 0) / total)  # the API's weights are 0 to 999, not percent
        return Weights(blue, 100 - blue)


def _words(weights: Weights) -> str:
    return f"blue {weights.blue} %, green {weights.green} %"


def _passing(error: Exception) -> bool:
    """Whether the error is worth another try: throttling, a fault of AWS, or no response."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or error.response.get("Error", {}).get("Code", "") in ("Throttling", "ThrottlingException")
    return isinstance(error, EndpointConnectionError | HTTPClientError)


def _tell(call: str, where: str, ask: Callable[[], _Answer]) -> _Answer:
    """AWS's response. Raises AlbTrafficFailed."""
    try:
        for attempt in stamina.retry_context(
            on=_passing, attempts=_TRIES, timeout=_LAST_TRY_SECONDS, wait_initial=0.2, wait_max=1.0
        ):
            with attempt:
                return ask()
    except ClientError as error:
        said = error.response.get("Error", {})
        denied = said.get("Code") in ("AccessDenied", "AccessDeniedException", "ExpiredToken", "InvalidClientTokenId")
        raise AlbTrafficFailed(f"{call} failed: {said.get('Code')}: {said.get('Message')}", where=where,
                            next="aws sts get-caller-identity" if denied else "teal repair") from error  # fmt: skip
    except BotoCoreError as error:
        raise AlbTrafficFailed(f"{call} failed: {error}", where=where, next="aws sts get-caller-identity") from error
    raise AssertionError("unreachable: the loop returns or raises")
