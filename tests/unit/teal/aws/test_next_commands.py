"""A mistake on the way to AWS is answered by the command that mends it, not by a stack trace or by a command that fails again."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from teal.aws import doctor, stack_file, tools
from teal.aws.pulumi.cli import PulumiCli
from teal.aws.session import Aws, AwsFailed, translate_aws_errors
from teal.aws.tools import InstalledTool, too_old
from teal.errors import BadInput, OperatorError

STACK_FILE = "config:\n  aws:region: eu-central-1\n"


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetCallerIdentity")


@pytest.mark.parametrize(
    ("error", "environ", "next_"),
    [
        (NoCredentialsError(), {}, "aws sso login (the first time: aws configure sso)"),
        (SSOTokenLoadError(error_msg="no token"), {"AWS_PROFILE": "work"}, "aws sso login --profile work"),
        (UnauthorizedSSOTokenError(), {"AWS_PROFILE": "work"}, "aws sso login --profile work"),
        (TokenRetrievalError(provider="sso", error_msg="expired"), {"AWS_PROFILE": "work"}, "aws sso login --profile work"),
        (refusal("ExpiredToken"), {"AWS_PROFILE": "work"}, "aws sso login --profile work"),
        (
            refusal("ExpiredToken"),
            {"AWS_ACCESS_KEY_ID": "A", "AWS_SESSION_TOKEN": "T", "AWS_PROFILE": "work"},
            "unset AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN; then aws sso login --profile work",
        ),
        (
            refusal("InvalidClientTokenId"),
            {"AWS_ACCESS_KEY_ID": "A"},
            "unset AWS_ACCESS_KEY_ID; then aws sso login (the first time: aws configure sso)",
        ),
        (
            PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            {"AWS_ACCESS_KEY_ID": "A"},
            "unset AWS_ACCESS_KEY_ID; then aws sso login (the first time: aws configure sso)",
        ),
        (ProfileNotFound(profile="wrok"), {"AWS_PROFILE": "wrok"}, "aws configure list-profiles"),
        (refusal("AccessDenied"), {}, "aws sts get-caller-identity"),
    ],
)
def test_credentials_that_are_missing_or_old_name_the_way_to_new_ones(
    error: Exception, environ: dict[str, str], next_: str
) -> None:
    with pytest.raises(OperatorError) as raised, translate_aws_errors("Asking AWS who this is", environ=environ):
        raise error
    assert raised.value.next == next_


def test_a_region_that_does_not_answer_is_no_matter_of_credentials() -> None:
    with pytest.raises(AwsFailed, match="Could not connect") as raised, translate_aws_errors("Asking"):
        raise EndpointConnectionError(endpoint_url="https://sts.eu-centrl-1.amazonaws.com")
    assert "aws:region" in raised.value.next


@pytest.mark.parametrize(
    ("said", "next_"),
    [
        # pulumi/pulumi#8144
        ('error: blob (key ".pulumi/stacks/dev.json") (code=NotFound): NoSuchBucket: The specified bucket does not exist', "teal bootstrap dev"),
        ("error: problem logging in: bucket s3://teal-dev-state-1 is not accessible", "teal bootstrap dev"),
        ("error: no stack named 'dev' found", "teal bootstrap dev"),
        ("error: unknown flag: --exclude-protected", "teal doctor --stack dev"),
        ("error: ExpiredToken: The provided token has expired.", "teal doctor --stack dev"),
        ("error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE", "teal bootstrap dev"),
    ],
)  # fmt: skip
def test_what_pulumi_says_raw_names_the_command_that_mends_it(
    said: str, next_: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended = subprocess.CompletedProcess(["pulumi"], 255, "", said)
    monkeypatch.setattr(PulumiCli, "ended", lambda *_arguments, **_more: ended)
    with pytest.raises(OperatorError) as raised:
        PulumiCli(tmp_path, "s3://bucket").preview("dev", tmp_path)
    assert raised.value.next == next_
    assert said in raised.value.what


def test_a_command_works_from_a_subfolder(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text(STACK_FILE)
    below = tmp_path / "infra" / "service"
    below.mkdir(parents=True)
    (below / "Pulumi.yaml").write_text("name: teal-service\n")  # the second program: no stack's file of ours
    assert stack_file.read_stack_file(below, "dev").path == tmp_path / "Pulumi.dev.yaml"


@pytest.mark.parametrize(
    ("stack", "next_"),
    [("prd", "the same command with prod"), ("canary", "cp Pulumi.dev.yaml Pulumi.canary.yaml, and edit it")],
)
def test_an_unknown_stack_names_the_ones_there_are(tmp_path: Path, stack: str, next_: str) -> None:
    for name in ("dev", "prod"):
        (tmp_path / f"Pulumi.{name}.yaml").write_text(STACK_FILE)
    with pytest.raises(BadInput, match="known here: dev, prod") as raised:
        stack_file.read_stack_file(tmp_path, stack)
    assert raised.value.next == next_


@pytest.mark.parametrize(
    ("version", "least", "old"),
    [
        ("3.274.1", ("3.260.0",), False),
        ("3.99.0", ("3.260.0",), True),
        ("2.25.0", ("3.260.0",), True),
        ("4.0.0", ("3.260.0",), False),
        ("1.45.11", ("1.27.160", "2.12.3"), False),
        ("1.27.159", ("1.27.160", "2.12.3"), True),
        ("2.11.0", ("1.27.160", "2.12.3"), True),
        ("2.15.0", ("1.27.160", "2.12.3"), False),
    ],
)
def test_versions_are_compared_as_numbers_within_their_major_version(version: str, least: tuple[str, ...], old: bool) -> None:
    assert too_old(version, least) is old


class Account:
    """Answers, or refuses with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def get_caller_identity(self) -> dict[str, str]:
        if self.error:
            raise self.error
        return {"Account": "111122223333"}

    def head_bucket(self, **_names: str) -> dict[str, Any]:
        raise refusal("404")


def examined(folder: Path, account: Account, version: str = "3.274.1") -> dict[str, tuple[bool, str]]:
    def find(tool: tools.Tool, _environ: object) -> InstalledTool:
        return InstalledTool(tool, "/bin/it", version if tool == tools.PULUMI else "2.15.0")

    rows = doctor.check_aws("dev", {"TEAL_ROOT": str(folder)}, lambda region: Aws(lambda _service: account, region), find)
    return {row.part: (row.ok, row.mend) for row in rows}


def test_doctor_knows_the_commands_the_credentials_and_the_state(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text(STACK_FILE)
    rows = examined(tmp_path, Account())
    assert list(rows) == ["packages", "pulumi", "aws", "stack file", "credentials", "state"]
    assert [name for name, (ok, _) in rows.items() if not ok] == ["state"]
    assert rows["state"][1] == "teal bootstrap dev"


def test_doctor_names_what_to_do_for_each_thing_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text(STACK_FILE)
    rows = examined(tmp_path, Account(NoCredentialsError()), version="3.99.0")
    assert rows["pulumi"] == (False, "install pulumi 3.260.0 or newer")
    assert "aws sso login" in rows["credentials"][1]
    assert "state" not in rows
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n")
    assert examined(tmp_path, Account())["stack file"] == (False, "write aws:region under config: in Pulumi.dev.yaml")
