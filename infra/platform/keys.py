"""Encryption keys, one for each purpose, so that the right to read logs does not imply the right to read documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import kms

TOPIC_PUBLISHERS = ("cloudwatch", "budgets", "aps")  # services that publish to the topic of alarms, and so use its key
DELETION_DAYS = 30  # KMS's longest wait, because without the key every backup is lost


@dataclass(frozen=True)
class KeysArgs:
    """`prefix` starts the aliases; `account_id` and `region` go into the keys' policies."""

    prefix: str
    account_id: str
    region: str
    data_readers: Sequence[Mapping[str, Any]] = ()  # statements of the data key's policy for another account


class Keys(pulumi.ComponentResource):
    """Four keys that rotate each year; a deletion can be cancelled for 30 days. Cost: 1 USD a key and month, and requests.

    data: database, search, cache, buckets, secrets of the service, and Kubernetes secrets. logs: CloudWatch Logs. topics: SNS.
    images: ECR.
    """

    data_arn: pulumi.Output[str]
    logs_arn: pulumi.Output[str]
    topics_arn: pulumi.Output[str]
    images_arn: pulumi.Output[str]
    arns: list[pulumi.Output[str]]

    def __init__(self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Keys", name, None, opts)
        logs = {
            "Sid": "CloudWatchLogs",
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{args.region}.amazonaws.com"},
            "Action": ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
            "Resource": "*",
            "Condition": {
                "ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{args.region}:{args.account_id}:log-group:*"}
            },
        }
        # CloudWatch sends aws:SourceAccount with its calls of KMS (documentation of aws/modern-data-architecture-accelerator,
        # grantCloudWatchAlarmsTopicAccess: "supported and correct"); EventBridge does not, so it is not in the list. That Budgets and managed
        # Prometheus send it is unverified: `teal alert test --stack` shows it of alarms, the first message of each shows it of them.
        # A service that may not use the key of an encrypted topic drops its alarms silently.
        topics = {
            "Sid": "AlarmsAndBudgets",
            "Effect": "Allow",
            "Principal": {
                "Service": [f"{service}.amazonaws.com" for service in TOPIC_PUBLISHERS],
            },
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceAccount": args.account_id}},
        }
        self.data_arn = self._key(f"{name}-data", args, "database, search, cache, buckets, secrets", args.data_readers)
        self.logs_arn = self._key(f"{name}-logs", args, "CloudWatch Logs", [logs])
        self.topics_arn = self._key(f"{name}-topics", args, "SNS topics of alarms", [topics])
        self.images_arn = self._key(f"{name}-images", args, "container images", [])
        self.arns = [self.data_arn, self.logs_arn, self.topics_arn, self.images_arn]
        self.register_outputs({})

    def _key(self, name: str, args: KeysArgs, description: str, statements: Sequence[Mapping[str, Any]]) -> pulumi.Output[str]:
        purpose = name.rsplit("-", 1)[1]
        key = kms.Key(
            name,
            description=f"{args.prefix}: {description}",
            enable_key_rotation=True,
            deletion_window_in_days=DELETION_DAYS,
            policy=pulumi.Output.json_dumps(key_policy(args.account_id, statements)),
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        kms.Alias(name, name=f"alias/{args.prefix}-{purpose}", target_key_id=key.key_id, opts=pulumi.ResourceOptions(parent=self))
        return key.arn


def key_policy(account_id: str, statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A key's policy: the account's IAM policies decide, and the services of `statements` may use it."""
    account = {
        "Sid": "Account",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account_id}:root"},
        "Action": "kms:*",
        "Resource": "*",  # in a key policy "*" means this key
    }
    return {"Version": "2012-10-17", "Statement": [account, *statements]}


def copy_statements(account_id: str) -> list[dict[str, Any]]:
    """What another account needs of the key to copy an encrypted snapshot out of this one: RDS reads it with the old key and writes
    it with the key of the other vault. Source of the actions: Commvault's page on the same copies (KMS key permission requirements).
    """
    other = {"AWS": f"arn:aws:iam::{account_id}:root"}
    reading = ["kms:DescribeKey", "kms:Decrypt", "kms:Encrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"]
    return [
        {"Sid": "CopiesRead", "Effect": "Allow", "Principal": other, "Action": reading, "Resource": "*"},
        {
            "Sid": "CopiesGrant",
            "Effect": "Allow",
            "Principal": other,
            "Action": "kms:CreateGrant",
            "Resource": "*",
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
    ]
