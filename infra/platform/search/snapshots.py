"""The bucket for search's snapshots, and the role of the only service account that may reach it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import iam

from infra.platform.search.resources import NAMESPACE, SERVICE_ACCOUNT
from infra.platform.search.setup import BASE_PATH
from infra.platform.stores.bucket import PrivateBucket, PrivateBucketArgs

# Elasticsearch deletes snapshots by SLM's retention; an overwritten or deleted object can be restored for this long.
UNDO_DAYS = 14


@dataclass(frozen=True)
class SnapshotsArgs:
    """`oidc_issuer` is the cluster's, without https://."""

    prefix: str
    account_id: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    oidc_provider_arn: pulumi.Input[str]
    oidc_issuer: pulumi.Input[str]


class SnapshotBucket(pulumi.ComponentResource):
    """A versioned, encrypted, TLS-only bucket and a role for Elasticsearch's pods that reaches it and nothing else. Cost: storage and requests.

    The role is by web identity (IRSA): Elasticsearch 8.19 does not know Pod Identity.
    """

    bucket_name: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    role_arn: pulumi.Output[str]
    resources: list[pulumi.Resource]

    def __init__(self, name: str, args: SnapshotsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Snapshots", name, None, opts)
        bucket = PrivateBucket(
            name,
            PrivateBucketArgs(
                # With the account's number, because bucket names are unique across AWS.
                bucket=pulumi.Output.concat(args.prefix, "-search-snapshots-", args.account_id),
                kms_key_arn=args.kms_key_arn,
                noncurrent_days=UNDO_DAYS,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        child = pulumi.ResourceOptions(parent=self)
        role = iam.Role(
            name,
            name=f"{args.prefix}-search-snapshots",
            assume_role_policy=pulumi.Output.all(args.oidc_provider_arn, args.oidc_issuer).apply(
                lambda known: elasticsearch_trust(*known)
            ),
            opts=child,
        )
        rights = iam.RolePolicy(
            name,
            role=role.id,
            policy=pulumi.Output.all(bucket.arn, args.kms_key_arn).apply(lambda known: json.dumps(snapshot_role_policy(*known))),
            opts=child,
        )
        self.bucket_name, self.bucket_arn, self.role_arn = bucket.name, bucket.arn, role.arn
        self.resources = [bucket, rights]
        self.register_outputs({"bucket_name": self.bucket_name, "role_arn": self.role_arn})


def elasticsearch_trust(provider_arn: str, issuer: str) -> str:
    """The trust policy: only the service account of Elasticsearch in this cluster, with a token made for STS."""
    claims = {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"}
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider_arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": claims},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def snapshot_role_policy(bucket_arn: str, kms_key_arn: str) -> dict[str, Any]:
    """What the repository needs (Elasticsearch, repository-s3, recommended permissions), and the key, for S3 alone."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Bucket",
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions"],
                "Resource": bucket_arn,
            },
            {
                "Sid": "Objects",
                "Effect": "Allow",
                "Action": [
                    "s3:GetObject",
                    "s3:PutObject",
                    "s3:DeleteObject",
                    "s3:AbortMultipartUpload",
                    "s3:ListMultipartUploadParts",
                ],
                "Resource": f"{bucket_arn}/{BASE_PATH}/*",
            },
            {
                "Sid": "Key",
                "Effect": "Allow",
                "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                "Resource": kms_key_arn,
                "Condition": {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}},
            },
        ],
    }
