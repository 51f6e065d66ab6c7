"""What GitHub's preview role may look at in AWS: how each thing of the program is set up, never what is in it.

A plan asks for zones, prefix lists and the caller; the nightly look at drift reads every resource again. No secret's value, no log line, no
object of a bucket, no layer of an image. None of it ran against AWS.
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
    "lambda": ("GetFunction", "GetFunctionCodeSigningConfig", "GetPolicy", "ListVersionsByFunction", "ListTags"),
    "logs": ("ListTagsForResource",),
    "backup": ("DescribeBackupVault", "GetBackupPlan", "GetBackupSelection", "ListTags"),
    "aps": ("Describe*", "ListTagsForResource"),
    "budgets": ("ViewBudget", "ListTagsForResource"),
    "acm": ("DescribeCertificate", "ListTagsForCertificate"),
    "wafv2": ("GetWebACL", "GetWebACLForResource", "GetLoggingConfiguration", "ListTagsForResource"),
    "kms": ("DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus", "ListResourceTags"),
    "route53": ("GetHostedZone", "GetChange", "ListResourceRecordSets"),
}
# The reads that take no ARN; each is in the tables of delivery_policies with its reason.
UNLIMITED_READS: Final = ("ec2:Describe*", "elasticloadbalancing:Describe*", "kms:ListAliases", "logs:DescribeLogGroups")
ROLE_READS: Final = ("iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies")
