"""Every bucket of the program keeps its promises, because there is only one way to make one."""

from __future__ import annotations

import json

import pytest

from infra.platform.stores.bucket import PrivateBucket, PrivateBucketArgs, bucket_policy, lifecycle
from tests.unit.infra.mocks import RegisteredResource, run

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1"


def made(args: PrivateBucketArgs) -> dict[str, RegisteredResource]:
    return {one.type.rsplit(":", 1)[-1]: one for one in run(lambda: PrivateBucket("b", args))}


def test_a_bucket_is_private_encrypted_versioned_and_protected() -> None:
    found = made(PrivateBucketArgs("teal-x", KEY))
    assert found["Bucket"].protect
    block = found["BucketPublicAccessBlock"].inputs
    assert all(block[key] for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"))
    (rule,) = found["BucketServerSideEncryptionConfiguration"].inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY}
    assert rule["bucketKeyEnabled"] is True
    assert found["BucketVersioning"].inputs["versioningConfiguration"] == {"status": "Enabled"}
    assert found["BucketOwnershipControls"].inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_nothing_reaches_a_bucket_without_tls() -> None:
    written = json.loads(made(PrivateBucketArgs("teal-x", KEY))["BucketPolicy"].inputs["policy"])
    (deny,) = written["Statement"]
    assert deny["Effect"] == "Deny"
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert deny["Resource"] == ["arn:aws:s3:::teal-x", "arn:aws:s3:::teal-x/*"]


def test_a_service_that_writes_logs_is_granted_beside_the_tls_rule() -> None:
    grant = {"Sid": "Logs", "Effect": "Allow"}
    assert [one["Sid"] for one in bucket_policy("b", [grant])["Statement"]] == ["TlsOnly", "Logs"]


def test_a_bucket_without_a_key_is_still_encrypted() -> None:
    (rule,) = made(PrivateBucketArgs("teal-x", None))["BucketServerSideEncryptionConfiguration"].inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}


@pytest.mark.parametrize(("days", "ids"), [(None, ["hidden"]), (90, ["hidden", "expire"])])
def test_only_what_is_told_to_expire_expires(days: int | None, ids: list[str]) -> None:
    rules = lifecycle(PrivateBucketArgs("b", KEY, expire_days=days))
    assert [rule["id"] for rule in rules] == ids
    assert all("expiration" not in rule for rule in rules if rule["id"] == "hidden")
