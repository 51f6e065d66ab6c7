"""Rights for an image's way from one stack to the next, as plain policy statements: the later stack's roles read the images and the
release record of the earlier one, and write nothing there. None of this ran against AWS.

In one account the later stack's own policies are enough. In two, the earlier stack's repository, bucket and key must name the
reader as well. They name the account and require the role, because a policy that names a role that does not exist yet is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from contract import names
from contract.promotion import NeighborStack
from infra.delivery.github_roles import Kind, role_name

Statement = dict[str, Any]
READ_IMAGES: Final = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer")
# A release's documents, without its evidence. Without the right to list, S3 answers 403 for an object that is not there.
RECORD_OBJECTS: Final = (names.RELEASE_RECORD, "releases/*.json")


@dataclass(frozen=True)
class StackPlace:
    """One stack with its account and region."""

    stack: str
    account_id: str
    region: str

    @property
    def repository_arn(self) -> str:
        return f"arn:aws:ecr:{self.region}:{self.account_id}:repository/{names.prefix(self.stack)}"

    @property
    def record_bucket_arn(self) -> str:
        return f"arn:aws:s3:::{names.release_bucket(self.stack, self.account_id)}"

    def role_arn(self, kind: Kind) -> str:
        return f"arn:aws:iam::{self.account_id}:role/{role_name(names.prefix(self.stack), kind)}"


def place_of(neighbor: NeighborStack | None, account_id: str, region: str) -> StackPlace | None:
    """Where the other stack is; `account_id` and `region` are this stack's own."""
    if neighbor is None:
        return None
    return StackPlace(neighbor.stack, neighbor.account_id or account_id, neighbor.region or region)


def image_statements(source: StackPlace | None) -> list[Statement]:
    """For the build role of the later stack: read the earlier stack's images."""
    return [] if source is None else [_allow("SourceImages", READ_IMAGES, [source.repository_arn])]


def record_statements(source: StackPlace | None) -> list[Statement]:
    """For the release role of the later stack: read the earlier stack's record."""
    if source is None:
        return []
    return [
        _allow("SourceRecord", ["s3:GetObject"], [f"{source.record_bucket_arn}/{one}" for one in RECORD_OBJECTS]),
        _allow("SourceRecordNames", ["s3:ListBucket"], [source.record_bucket_arn]),
        {
            # The key is not known here: the right holds for keys as S3 uses them for this bucket.
            **_allow("SourceRecordKey", ["kms:Decrypt"], [f"arn:aws:kms:{source.region}:{source.account_id}:key/*"]),
            "Condition": {"StringEquals": _used_for(source)},
        },
    ]


def repository_reader(reader: StackPlace) -> Statement:
    """For the earlier stack's repository policy, which has no resource."""
    return {"Sid": "Promotion", "Effect": "Allow", **_only(reader, "build"), "Action": list(READ_IMAGES)}


def bucket_readers(source: StackPlace, reader: StackPlace) -> list[Statement]:
    """For the policy of the earlier stack's bucket."""
    record = _allow("Promotion", ["s3:GetObject"], [f"{source.record_bucket_arn}/{one}" for one in RECORD_OBJECTS])
    listing = _allow("PromotionNames", ["s3:ListBucket"], [source.record_bucket_arn])
    return [{**one, **_only(reader, "release")} for one in (record, listing)]


def key_reader(source: StackPlace, reader: StackPlace) -> Statement:
    """For the policy of the earlier stack's key of data."""
    only = _only(reader, "release")
    only["Condition"]["StringEquals"] |= _used_for(source)
    return {**_allow("Promotion", ["kms:Decrypt"], ["*"]), **only}  # in a key policy "*" means this key


def _used_for(source: StackPlace) -> dict[str, str]:
    # With a bucket's own data key the encryption context is the bucket (S3 User Guide, "Using S3 Bucket Keys").
    return {
        "kms:ViaService": f"s3.{source.region}.amazonaws.com",
        "kms:EncryptionContext:aws:s3:arn": source.record_bucket_arn,
    }


def _only(reader: StackPlace, kind: Kind) -> dict[str, Any]:
    return {
        "Principal": {"AWS": f"arn:aws:iam::{reader.account_id}:root"},
        "Condition": {"StringEquals": {"aws:PrincipalArn": reader.role_arn(kind)}},
    }


def _allow(sid: str, actions: Sequence[str], resources: Sequence[str]) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
