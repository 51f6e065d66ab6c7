"""A private bucket. All buckets of this program are made by this component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import s3

NONCURRENT_DAYS = 30  # an overwritten or deleted object can be restored for a month
UNFINISHED_UPLOAD_DAYS = 7  # parts of a broken upload are billed and invisible


@dataclass(frozen=True)
class PrivateBucketArgs:
    """`bucket` is the physical name, unique in all of AWS. `kms_key_arn` None: SSE-S3, which ALB's access logs need (they refuse KMS).

    `expire_days` removes objects of that age; None keeps them. `versioned` False is for logs, which nobody overwrites. `statements` are more
    policy statements, for AWS services that write here; their ARNs start with `arn:aws:s3:::BUCKET`.
    """

    bucket: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str] | None
    expire_days: int | None = None
    versioned: bool = True
    noncurrent_days: int = NONCURRENT_DAYS
    statements: Sequence[Mapping[str, Any]] = ()


class PrivateBucket(pulumi.ComponentResource):
    """A bucket that is private, encrypted, TLS-only, owner-enforced and protected. Cost: storage and requests only.

    `pulumi destroy` does not delete a bucket with objects,
    because emptying it needs an explicit decision (`teal destroy --delete-data`).
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    policy: s3.BucketPolicy  # services that test their access at creation depend on it

    def __init__(self, name: str, args: PrivateBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:PrivateBucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        bucket = s3.Bucket(name, bucket=args.bucket, force_destroy=False, opts=pulumi.ResourceOptions(parent=self, protect=True))
        s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        s3.BucketOwnershipControls(name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child)
        default: s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgsDict = (
            {"sse_algorithm": "AES256"}
            if args.kms_key_arn is None
            else {"sse_algorithm": "aws:kms", "kms_master_key_id": args.kms_key_arn}
        )
        s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            # One data key for many objects, because KMS bills each request for a key.
            rules=[{"apply_server_side_encryption_by_default": default, "bucket_key_enabled": args.kms_key_arn is not None}],
            opts=child,
        )
        versioning = s3.BucketVersioning(
            name,
            bucket=bucket.id,
            versioning_configuration={"status": "Enabled" if args.versioned else "Suspended"},
            opts=child,
        )
        s3.BucketLifecycleConfiguration(
            name, bucket=bucket.id, rules=lifecycle(args), opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning])
        )
        self.policy = s3.BucketPolicy(
            name, bucket=bucket.id, policy=pulumi.Output.json_dumps(bucket_policy(args.bucket, args.statements)), opts=child
        )
        self.name, self.arn = bucket.bucket, bucket.arn
        self.register_outputs({"name": self.name, "arn": self.arn})


def bucket_policy(bucket: pulumi.Input[str], statements: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The bucket's policy: it denies requests without TLS, then has the caller's statements.
    Plain data, except for a name that AWS chooses."""
    arn = f"arn:aws:s3:::{bucket}" if isinstance(bucket, str) else pulumi.Output.concat("arn:aws:s3:::", bucket)
    tls_only = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*" if isinstance(arn, str) else pulumi.Output.concat(arn, "/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [tls_only, *statements]}


def lifecycle(args: PrivateBucketArgs) -> list[s3.BucketLifecycleConfigurationRuleArgsDict]:
    """Rules that remove old noncurrent versions, unfinished uploads, and objects older than `expire_days`."""
    hidden: s3.BucketLifecycleConfigurationRuleArgsDict = {
        "id": "hidden",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "abort_incomplete_multipart_upload": {"days_after_initiation": UNFINISHED_UPLOAD_DAYS},
        "noncurrent_version_expiration": {"noncurrent_days": args.noncurrent_days},
    }
    if args.expire_days is None:
        return [hidden]
    return [hidden, {"id": "expire", "status": "Enabled", "filter": {"prefix": ""}, "expiration": {"days": args.expire_days}}]
