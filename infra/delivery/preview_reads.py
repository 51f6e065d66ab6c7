"""The AWS read rights of GitHub's preview role: the configuration of each resource of the program, never its content.

A plan reads zones, prefix lists and the caller's identity; the nightly check for drift reads every resource. No right covers a
secret's value, a log line, a bucket's object or an image's layer. None of this ran against AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# By service, at the same ARNs that the role `up` may change.
READS: Final[Mapping[str, tuple[str, ...]]] = {
    "rds": ("Describe*", "ListTagsForResource"),
    "elasticache": ("Describe*", "ListTagsForResource"),
    "eks": ("Describe*", "ListAssociatedAccessPolicies", "ListTagsForResource"),
    "s3": (
        "GetBucket*",
        "GetEncryptionConfiguration",
        "GetLifecycleConfiguration",
        "GetReplicationConfiguration",
        "GetAccelerateConfiguration",
        "ListBucket",
    ),
    "secretsmanager": ("DescribeSecret", "GetResourcePolicy"),
    "sns": ("GetTopicAttributes", "GetSubscriptionAttributes", "ListTagsForResource"),
    "ecr": ("DescribeRepositories", "GetLifecyclePolicy", "GetRepositoryPolicy", "ListTagsForResource"),
    "cloudwatch": ("DescribeAlarms", "GetDashboard", "ListTagsForResource"),
    "events": ("DescribeRule", "ListTargetsByRule", "ListTagsForResource"),
    "scheduler": ("GetSchedule",),
    "lambda": ("GetFunction", "GetFunctionCodeSigningConfig", "GetPolicy", "ListVersionsByFunction", "ListTags"),
    "logs": ("ListTagsForResource",),
    "backup": (
        "DescribeBackupVault",
        "GetBackupPlan",
        "GetBackupSelection",
        "GetRestoreTestingPlan",
        "GetRestoreTestingSelection",
        "ListTags",
    ),
    "aps": ("Describe*", "ListTagsForResource"),
    "budgets": ("ViewBudget", "ListTagsForResource"),
    "acm": ("DescribeCertificate", "ListTagsForCertificate"),
    "wafv2": ("GetWebACL", "GetWebACLForResource", "GetLoggingConfiguration", "ListTagsForResource"),
    "kms": ("DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus", "ListResourceTags"),
    "route53": ("GetHostedZone", "GetChange", "ListResourceRecordSets"),
}
# The read actions without an ARN; each is in the tables of infra/delivery/policies.py with its reason.
UNLIMITED_READS: Final = ("ec2:Describe*", "elasticloadbalancing:Describe*", "kms:ListAliases", "logs:DescribeLogGroups")
ROLE_READS: Final = ("iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies")
