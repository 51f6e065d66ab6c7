"""`teal bootstrap` against AWS as moto emulates it. Pulumi is a stand-in here; tests/engine/test_bootstrap.py runs the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from teal.aws import bootstrap
from teal.aws.bootstrap import Survey, apply, tls_only
from teal.aws.names import StateNames
from teal.aws.pulumi.cli import PulumiCli, Secrets
from teal.aws.session import Aws
from teal.aws.stack_file import StackFile, read_stack_file
from teal.errors import BadInput, NeedsHuman
from tests.services.aws_server import REGION, AwsServer, start

STACK = """# what an operator wrote stays
config:
  aws:region: eu-central-1  # and so does this
  teal:environment: dev
"""


@dataclass
class StatefulPulumi:
    """Keeps stacks and writes the stack file as `pulumi stack init` does."""

    folder: Path
    held: dict[str, Secrets] = field(default_factory=dict)
    logins: int = 0

    def require(self) -> None:
        return None

    def login(self) -> None:
        self.logins += 1

    def stacks(self) -> tuple[str, ...]:
        return tuple(self.held)

    def create(self, stack: str, secrets_provider: str) -> None:
        assert stack not in self.held, "pulumi refuses to make a stack twice"
        self.held[stack] = Secrets(secrets_provider, "AQICAH")
        file = self.folder / f"Pulumi.{stack}.yaml"  # the real one drops comments and knows its own types only
        file.write_text(
            yaml.safe_dump({**yaml.safe_load(file.read_text()), "secretsprovider": secrets_provider, "encryptedkey": "AQICAH"})
        )

    def secrets_of(self, stack: str) -> Secrets:
        return self.held[stack]


@pytest.fixture
def pulumi(folder: Path) -> StatefulPulumi:
    return StatefulPulumi(folder)


@pytest.fixture
def survey(pulumi: StatefulPulumi) -> Any:
    def look(aws: Aws, file: StackFile) -> Survey:
        return bootstrap.survey(aws, file, lambda _folder, _backend: pulumi)  # type: ignore[arg-type,return-value]

    return look


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    with start() as running:
        yield running


@pytest.fixture
def aws(server: AwsServer) -> Aws:
    server.reset()
    return Aws(server.client, REGION)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.dev.yaml").write_text(STACK)
    return tmp_path


def test_looking_changes_nothing(aws: Aws, folder: Path, survey: Any) -> None:
    found = survey(aws, read_stack_file(folder, "dev"))
    assert len(found.open) == len(found.steps) == 9
    assert found.steps[-1].name == "stack"
    assert aws.s3.list_buckets()["Buckets"] == []
    assert aws.kms.list_keys()["Keys"] == []
    assert (folder / "Pulumi.dev.yaml").read_text() == STACK


def test_an_empty_account_gets_a_private_encrypted_versioned_bucket_that_only_tls_reaches(
    aws: Aws, folder: Path, survey: Any
) -> None:
    found = survey(aws, read_stack_file(folder, "dev"))
    assert all(event.state == "ok" for event in apply(found))
    bucket = found.names.bucket
    assert aws.s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (rule,) = aws.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert set(aws.s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    assert json.loads(aws.s3.get_bucket_policy(Bucket=bucket)["Policy"]) == tls_only(bucket)


def test_platform_and_colors_have_keys_of_their_own_that_rotate(aws: Aws, folder: Path, survey: Any) -> None:
    found = survey(aws, read_stack_file(folder, "dev"))
    list(apply(found))
    keys = {aws.kms.describe_key(KeyId=found.names.key_alias(scope))["KeyMetadata"]["KeyId"] for scope in ("platform", "colors")}
    assert len(keys) == 2
    assert all(aws.kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] for key in keys)


def test_the_stack_is_made_with_the_platform_s_key_and_the_rest_of_its_file_stays(
    aws: Aws, folder: Path, survey: Any, pulumi: StatefulPulumi
) -> None:
    list(apply(survey(aws, read_stack_file(folder, "dev"))))
    text = (folder / "Pulumi.dev.yaml").read_text()
    assert text.endswith(STACK)
    assert len(text.splitlines()) == len(STACK.splitlines()) + 2  # just its two lines: comments and types stay
    wanted = "awskms://alias/teal-dev-state-platform?region=eu-central-1"  # pragma: allowlist secret
    assert yaml.safe_load(text)["secretsprovider"] == pulumi.held["dev"].provider == wanted
    assert pulumi.logins == 1


def test_a_stack_made_from_another_checkout_is_kept_and_named_in_this_one(
    aws: Aws, folder: Path, survey: Any, pulumi: StatefulPulumi
) -> None:
    list(apply(survey(aws, read_stack_file(folder, "dev"))))
    (folder / "Pulumi.dev.yaml").write_text(STACK)
    again = survey(aws, read_stack_file(folder, "dev"))
    assert [step.name for step in again.open] == ["stack"]
    list(apply(again))
    assert read_stack_file(folder, "dev").encrypted_key == pulumi.held["dev"].encrypted_key
    assert survey(aws, read_stack_file(folder, "dev")).open == ()


def test_a_stack_that_was_made_with_a_passphrase_needs_a_human(
    aws: Aws, folder: Path, survey: Any, pulumi: StatefulPulumi
) -> None:
    list(apply(survey(aws, read_stack_file(folder, "dev"))))
    pulumi.held["dev"] = Secrets("passphrase", "")
    with pytest.raises(NeedsHuman, match="passphrase") as raised:
        survey(aws, read_stack_file(folder, "dev"))
    assert "change-secrets-provider 'awskms://alias/teal-dev-state-platform" in raised.value.next


def test_without_the_pulumi_command_nothing_is_made(aws: Aws, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(BadInput, match="pulumi command is not here"):
        bootstrap.survey(aws, read_stack_file(folder, "dev"), PulumiCli)
    assert aws.s3.list_buckets()["Buckets"] == []


def test_again_nothing_happens(aws: Aws, folder: Path, survey: Any) -> None:
    list(apply(survey(aws, read_stack_file(folder, "dev"))))
    before, keys = (folder / "Pulumi.dev.yaml").read_text(), aws.kms.list_keys()["Keys"]
    again = survey(aws, read_stack_file(folder, "dev"))
    assert again.open == ()
    assert {event.data["changed"] for event in apply(again)} == {False}
    assert (folder / "Pulumi.dev.yaml").read_text() == before
    assert aws.kms.list_keys()["Keys"] == keys


@pytest.mark.parametrize("after", range(9))
def test_stopped_half_way_it_goes_on(aws: Aws, folder: Path, after: int, survey: Any) -> None:
    events = apply(survey(aws, read_stack_file(folder, "dev")))
    for _ in range(after):
        next(events)
    again = survey(aws, read_stack_file(folder, "dev"))
    assert len(again.open) == 9 - after
    list(apply(again))
    assert survey(aws, read_stack_file(folder, "dev")).open == ()


def test_a_key_that_a_run_made_and_could_not_name_is_used_by_the_next_one(aws: Aws, folder: Path, survey: Any) -> None:
    found = survey(aws, read_stack_file(folder, "dev"))
    list(apply(found))
    before = {row["KeyId"] for row in aws.kms.list_keys()["Keys"]}
    for scope in ("platform", "colors"):
        aws.kms.delete_alias(AliasName=found.names.key_alias(scope))  # as if the run had ended between the two calls
    list(apply(survey(aws, read_stack_file(folder, "dev"))))
    assert {row["KeyId"] for row in aws.kms.list_keys()["Keys"]} == before
    keys = [aws.kms.describe_key(KeyId=found.names.key_alias(scope))["KeyMetadata"] for scope in ("platform", "colors")]
    assert [key["Description"].rsplit(" ", 1)[-1] for key in keys] == ["platform", "colors"]


def test_a_key_of_another_environment_or_one_that_is_going_is_not_taken(aws: Aws, folder: Path, survey: Any) -> None:
    for stack, deleted in (("prod", False), ("dev", True)):
        tags = [{"TagKey": "teal:stack", "TagValue": stack}, {"TagKey": "teal:state", "TagValue": "true"}]
        text = f"Secrets in the Pulumi state of teal {stack}: platform"
        key = aws.kms.create_key(Description=text, Tags=tags)["KeyMetadata"]["KeyId"]  # type: ignore[arg-type]
        if deleted:
            aws.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    list(apply(survey(aws, read_stack_file(folder, "dev"))))
    assert len(aws.kms.list_keys()["Keys"]) == 4


def test_what_somebody_loosened_is_found_and_mended(aws: Aws, folder: Path, survey: Any) -> None:
    found = survey(aws, read_stack_file(folder, "dev"))
    list(apply(found))
    aws.s3.delete_bucket_policy(Bucket=found.names.bucket)
    aws.s3.delete_public_access_block(Bucket=found.names.bucket)
    again = survey(aws, read_stack_file(folder, "dev"))
    assert [step.name for step in again.open] == ["privacy", "transport"]
    list(apply(again))
    assert survey(aws, read_stack_file(folder, "dev")).open == ()


def test_secrets_of_another_key_are_never_made_unreadable(aws: Aws, folder: Path, survey: Any) -> None:
    (folder / "Pulumi.dev.yaml").write_text(
        f"secretsprovider: awskms://alias/other\nencryptedkey: AAAA\n{STACK}"
    )  # pragma: allowlist secret
    with pytest.raises(NeedsHuman) as raised:
        survey(aws, read_stack_file(folder, "dev"))
    assert "change-secrets-provider" in raised.value.next


def test_environments_share_neither_bucket_nor_key() -> None:
    dev, prod = (StateNames(stack, "123456789012", REGION) for stack in ("dev", "prod"))
    assert dev.bucket != prod.bucket
    assert {dev.key_alias(scope) for scope in ("platform", "colors")}.isdisjoint(
        prod.key_alias(scope) for scope in ("platform", "colors")
    )
    assert len(StateNames("staging", "123456789012", REGION).bucket) <= 63


def test_names_are_those_that_the_platform_s_program_uses() -> None:
    from infra.config.read import load_config
    from infra.evaluation.evaluate import stack_values

    assert (
        StateNames("prod", "123456789012", REGION).prefix == load_config(stack_values("prod"), "prod", "Pulumi.prod.yaml").prefix
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "known here: prod"), ("config: [", "not YAML"), ("config: {}", "names no region")],
)
def test_a_stack_file_that_cannot_be_used_is_bad_input(tmp_path: Path, text: str | None, says: str) -> None:
    (tmp_path / "Pulumi.prod.yaml").write_text(STACK)
    if text is not None:
        (tmp_path / "Pulumi.dev.yaml").write_text(text)
    with pytest.raises(BadInput, match=says):
        read_stack_file(tmp_path, "dev")


def test_what_aws_refuses_is_said_in_words(folder: Path, survey: Any) -> None:
    class Refusing:
        def get_caller_identity(self) -> Any:
            raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "The token has expired"}}, "GetCallerIdentity")

    with pytest.raises(BadInput) as raised:
        survey(Aws(lambda _service: Refusing(), REGION), read_stack_file(folder, "dev"))
    assert "ExpiredToken" in str(raised.value)
    assert "aws sso login" in raised.value.next  # asking again who this is would fail again
