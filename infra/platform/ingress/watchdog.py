"""The watchdog on AWS: a small Lambda function, outside both colors and the cluster, that checks on a release each minute."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_

import contract.watchdog
from contract.names import RELEASE_RECORD

RUNTIME: Final = "python3.13"  # the project's own version; its boto3 supports conditional writes
EVERY: Final = "rate(1 minute)"  # EventBridge's shortest interval
TIMEOUT_SECONDS: Final = 30  # six calls of a second at most, and boto3's retries; under a minute, so that two never overlap
MEMORY_MIB: Final = 256  # boto3 alone takes 90; a function's CPU share is proportional to its memory
LOG_DAYS: Final = 90
FUNCTION: Final = Path(__file__).with_name("watchdog_function.py")
CONTRACT: Final = Path(contract.watchdog.__file__)


@dataclass(frozen=True)
class WatchdogArgs:
    """`target_groups`: ARN and metric suffix of each color's."""

    prefix: str
    stack: str
    region: str
    account_id: str
    rule_arn: pulumi.Input[str]
    load_balancer_suffix: pulumi.Input[str]
    target_groups: Mapping[str, tuple[pulumi.Input[str], pulumi.Input[str]]]
    release_bucket: pulumi.Input[str]
    release_bucket_arn: pulumi.Input[str]
    data_key_arn: pulumi.Input[str]
    logs_key_arn: pulumi.Input[str]


class WatchdogFunction(pulumi.ComponentResource):
    """The function, its log group and its schedule. Cost: 43,800 short calls a month."""

    function_name: str

    def __init__(self, name: str, args: WatchdogArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Watchdog", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.function_name = f"{args.prefix}-watchdog"
        logs = cloudwatch.LogGroup(
            name,
            name=f"/aws/lambda/{self.function_name}",
            retention_in_days=LOG_DAYS,
            kms_key_id=args.logs_key_arn,
            opts=child,
        )
        role = iam.Role(
            name,
            name=self.function_name,
            assume_role_policy=json.dumps(lambda_trust(args.account_id)),
            opts=child,
        )
        document = {"Version": "2012-10-17", "Statement": watchdog_statements(args, logs.arn)}
        rights = iam.RolePolicy(name, role=role.id, policy=pulumi.Output.json_dumps(document), opts=child)
        place = {
            "stack": args.stack,
            "bucket": args.release_bucket,
            "record": RELEASE_RECORD,
            "rule_arn": args.rule_arn,
            "load_balancer": args.load_balancer_suffix,
            "target_groups": {color: list(group) for color, group in args.target_groups.items()},
        }
        function = lambda_.Function(
            name,
            name=self.function_name,
            role=role.arn,
            runtime=RUNTIME,
            handler="watchdog_function.handle",
            code=pulumi.AssetArchive(
                {
                    "contract/__init__.py": pulumi.FileAsset(str(CONTRACT.with_name("__init__.py"))),
                    "contract/watchdog.py": pulumi.FileAsset(str(CONTRACT)),
                    FUNCTION.name: pulumi.FileAsset(str(FUNCTION)),
                }
            ),
            timeout=TIMEOUT_SECONDS,
            memory_size=MEMORY_MIB,
            environment={"variables": {"PLACE": pulumi.Output.json_dumps(place)}},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[rights, logs]),
        )
        clock = cloudwatch.EventRule(name, name=self.function_name, schedule_expression=EVERY, opts=child)
        called = lambda_.Permission(
            name,
            function=function.name,
            action="lambda:InvokeFunction",
            principal="events.amazonaws.com",
            source_arn=clock.arn,
            opts=child,
        )
        cloudwatch.EventTarget(
            name, rule=clock.name, arn=function.arn, opts=pulumi.ResourceOptions(parent=self, depends_on=[called])
        )
        self.register_outputs({})


def lambda_trust(account_id: str) -> dict[str, Any]:
    """The trust policy: Lambda may assume the role, for functions of this account."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account_id}},
            }
        ],
    }


def watchdog_statements(args: WatchdogArgs, log_arn: pulumi.Input[str]) -> list[dict[str, Any]]:
    """Rights to change the shares of the one rule, and to read and write the record.
    Writing the record fences a suspended releaser."""
    record = pulumi.Output.format("{0}/{1}", args.release_bucket_arn, RELEASE_RECORD)
    return [
        {"Sid": "GiveBack", "Effect": "Allow", "Action": ["elasticloadbalancing:ModifyRule"], "Resource": args.rule_arn},
        {
            "Sid": "Look",
            "Effect": "Allow",
            "Action": ["elasticloadbalancing:DescribeRules", "cloudwatch:GetMetricData"],
            "Resource": "*",
        },
        {"Sid": "Record", "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": record},
        # Without this right S3 answers 403 instead of 404 for a record that does not exist yet, which is no failure.
        {"Sid": "IsThere", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": args.release_bucket_arn},
        {
            "Sid": "RecordKey",
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": args.data_key_arn,
            "Condition": {"StringEquals": {"kms:ViaService": f"s3.{args.region}.amazonaws.com"}},
        },
        {
            "Sid": "Log",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": pulumi.Output.format("{0}:*", log_arn),
        },
    ]
