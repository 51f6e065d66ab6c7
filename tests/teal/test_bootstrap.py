"""`teal bootstrap` against AWS as moto emulates it."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from teal.aws.bootstrap import apply, survey, tls_only
from teal.aws.names import StateNames
from teal.aws.session import Aws, AwsFailed
from teal.aws.stack_file import read
from teal.errors import BadInput, NeedsHuman
from tests.aws_server import REGION, AwsServer, start

STACK = """# what an operator wrote stays
config:
  aws:region: eu-central-1  # and so does this
  teal:environment: dev
"""


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    with start() as running:
        yield running


@pytest.fixture
def aws(server: AwsServer) -> Aws:
    urllib.request.urlopen(urllib.request.Request(f"{server.url}/moto-api/reset", method="POST"), timeout=5).close()
    return Aws(server.client, REGION)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.dev.yaml").write_text(STACK)
    return tmp_path


def test_looking_changes_nothing(aws: Aws, folder: Path) -> None:
    found = survey(aws, read(folder, "dev"))
    assert len(found.open) == len(found.steps) == 9
    assert aws.s3.list_buckets()["Buckets"] == []
    assert aws.kms.list_keys()["Keys"] == []
    assert (folder / "Pulumi.dev.yaml").read_text() == STACK


def test_an_empty_account_gets_a_private_encrypted_versioned_bucket_that_only_tls_reaches(aws: Aws, folder: Path) -> None:
    found = survey(aws, read(folder, "dev"))
    assert all(event.state == "ok" for event in apply(found))
    bucket = found.names.bucket
    assert aws.s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (rule,) = aws.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert set(aws.s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    assert json.loads(aws.s3.get_bucket_policy(Bucket=bucket)["Policy"]) == tls_only(bucket)


def test_platform_and_colors_have_keys_of_their_own_that_rotate(aws: Aws, folder: Path) -> None:
    found = survey(aws, read(folder, "dev"))
    list(apply(found))
    keys = {aws.kms.describe_key(KeyId=found.names.key_alias(scope))["KeyMetadata"]["KeyId"] for scope in ("platform", "colors")}
    assert len(keys) == 2
    assert all(aws.kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] for key in keys)


def test_the_stack_file_gains_two_lines_and_keeps_the_rest(aws: Aws, folder: Path) -> None:
    found = survey(aws, read(folder, "dev"))
    list(apply(found))
    text = (folder / "Pulumi.dev.yaml").read_text()
    assert text.endswith(STACK)
    written = yaml.safe_load(text)
    assert written["secretsprovider"] == "awskms://alias/teal-dev-state-platform?region=eu-central-1"  # pragma: allowlist secret
    opened = aws.kms.decrypt(CiphertextBlob=base64.b64decode(written["encryptedkey"]))
    assert len(opened["Plaintext"]) == 32


def test_again_nothing_happens(aws: Aws, folder: Path) -> None:
    list(apply(survey(aws, read(folder, "dev"))))
    before, keys = (folder / "Pulumi.dev.yaml").read_text(), aws.kms.list_keys()["Keys"]
    again = survey(aws, read(folder, "dev"))
    assert again.open == ()
    assert {event.data["changed"] for event in apply(again)} == {False}
    assert (folder / "Pulumi.dev.yaml").read_text() == before
    assert aws.kms.list_keys()["Keys"] == keys


@pytest.mark.parametrize("after", range(9))
def test_stopped_half_way_it_goes_on(aws: Aws, folder: Path, after: int) -> None:
    events = apply(survey(aws, read(folder, "dev")))
    for _ in range(after):
        next(events)
    again = survey(aws, read(folder, "dev"))
    assert len(again.open) == 9 - after
    list(apply(again))
    assert survey(aws, read(folder, "dev")).open == ()


def test_what_somebody_loosened_is_found_and_mended(aws: Aws, folder: Path) -> None:
    found = survey(aws, read(folder, "dev"))
    list(apply(found))
    aws.s3.delete_bucket_policy(Bucket=found.names.bucket)
    aws.s3.delete_public_access_block(Bucket=found.names.bucket)
    again = survey(aws, read(folder, "dev"))
    assert [step.name for step in again.open] == ["privacy", "transport"]
    list(apply(again))
    assert survey(aws, read(folder, "dev")).open == ()


def test_secrets_of_another_key_are_never_made_unreadable(aws: Aws, folder: Path) -> None:
    (folder / "Pulumi.dev.yaml").write_text(
        f"secretsprovider: awskms://alias/other\nencryptedkey: AAAA\n{STACK}"
    )  # pragma: allowlist secret
    with pytest.raises(NeedsHuman) as raised:
        survey(aws, read(folder, "dev"))
    assert "change-secrets-provider" in raised.value.next


def test_environments_share_neither_bucket_nor_key() -> None:
    dev, prod = (StateNames(stack, "123456789012", REGION) for stack in ("dev", "prod"))
    assert dev.bucket != prod.bucket
    assert {dev.key_alias(scope) for scope in ("platform", "colors")}.isdisjoint(
        prod.key_alias(scope) for scope in ("platform", "colors")
    )
    assert len(StateNames("staging", "123456789012", REGION).bucket) <= 63


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "known here: prod"), ("config: [", "not YAML"), ("config: {}", "names no region")],
)
def test_a_stack_file_that_cannot_be_used_is_bad_input(tmp_path: Path, text: str | None, says: str) -> None:
    (tmp_path / "Pulumi.prod.yaml").write_text(STACK)
    if text is not None:
        (tmp_path / "Pulumi.dev.yaml").write_text(text)
    with pytest.raises(BadInput, match=says):
        read(tmp_path, "dev")


def test_what_aws_refuses_is_said_in_words(folder: Path) -> None:
    class Refusing:
        def get_caller_identity(self) -> Any:
            raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "The token has expired"}}, "GetCallerIdentity")

    with pytest.raises(AwsFailed) as raised:
        survey(Aws(lambda _service: Refusing(), REGION), read(folder, "dev"))
    assert "ExpiredToken" in str(raised.value)
    assert raised.value.next == "aws sts get-caller-identity"
