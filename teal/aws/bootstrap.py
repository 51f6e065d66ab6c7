"""What must be there before the first `pulumi up`: a bucket for the state, keys for the secrets in it, and an empty stack that uses them.

Two functions, so that an operator can decide after seeing what is missing: `survey` only looks, `apply` makes what is missing.
Both may be run again at any time; what exists already is left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from teal.aws.names import SCOPES, STACK_TAG, STATE_TAG, Scope, StateNames
from teal.aws.pulumi.cli import PulumiCli
from teal.aws.session import Aws, is_missing, translate_aws_errors
from teal.aws.stack_file import StackFile, put_back, read_unchanged, write_key
from teal.errors import NeedsHuman
from teal.events import Event

_OLD_STATE_DAYS: Final = 90  # how far back a state that was overwritten can be fetched
_KEY_COST: Final = "1 USD a month"  # AWS KMS price list: a customer managed key; unverified here


@dataclass(frozen=True, slots=True)
class BootstrapStep:
    """One condition that bootstrap establishes. `do` establishes it, and may be called when it holds already."""

    name: str
    wanted: str
    done: bool
    do: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Survey:
    """All steps in order."""

    names: StateNames
    steps: tuple[BootstrapStep, ...]

    @property
    def open(self) -> tuple[BootstrapStep, ...]:
        return tuple(step for step in self.steps if not step.done)


def survey(aws: Aws, file: StackFile, connect: Callable[[Path, str], PulumiCli] = PulumiCli) -> Survey:
    """Look at the account, the file and the state. Raises NeedsHuman when the stack's secrets belong to another key already.

    `connect` makes the pulumi command of a folder and a backend. Raises BadInput when that command is not here.
    """
    names = StateNames(file.stack, aws.account_id(), file.region)
    pulumi = connect(file.path.parent.resolve(), names.backend_url)
    pulumi.require()
    wanted = names.secrets_provider("platform")
    if file.secrets_provider is not None and file.secrets_provider != wanted and file.encrypted_key:
        raise _another_key(file.secrets_provider, wanted, str(file.path), file.stack)
    with translate_aws_errors("Looking at the state bucket", names.bucket):
        steps = [*_bucket_steps(aws, names), *(_key_step(aws, names, scope) for scope in SCOPES)]
    return Survey(names, (*steps, _stack_step(pulumi, names, file, look=steps[0].done)))  # without a bucket there can be no stack


def apply(found: Survey) -> Iterator[Event]:
    """Carry out the missing steps, one event each. After an interruption the next run goes on from there."""
    for step in found.steps:
        if not step.done:
            with translate_aws_errors(f"Making sure that {step.wanted}", step.name):
                step.do()
        yield Event(step.name, "ok", step.wanted if step.done else f"{step.wanted}: done now", data={"changed": not step.done})


def _bucket_steps(aws: Aws, names: StateNames) -> Iterator[BootstrapStep]:
    bucket = names.bucket
    exists = _asked(lambda: aws.s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=names.account_id)) is not None
    yield BootstrapStep("bucket", f"bucket {bucket} holds the state", exists, lambda: _create_bucket(aws, names))
    for name, wanted, read, is_so, put in (
        (
            "versions",
            f"an overwritten state is kept {_OLD_STATE_DAYS} days",
            lambda: (aws.s3.get_bucket_versioning(Bucket=bucket), aws.s3.get_bucket_lifecycle_configuration(Bucket=bucket)),
            lambda answer: answer[0].get("Status") == "Enabled",
            lambda: _keep_versions(aws, bucket),
        ),
        (
            "encryption",
            "the bucket encrypts what it holds",
            lambda: aws.s3.get_bucket_encryption(Bucket=bucket),
            lambda answer: bool(answer["ServerSideEncryptionConfiguration"]["Rules"]),
            lambda: aws.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=_ENCRYPTION),
        ),
        (
            "privacy",
            "nobody can make the bucket public",
            lambda: aws.s3.get_public_access_block(Bucket=bucket),
            lambda answer: all(answer["PublicAccessBlockConfiguration"].values()),
            lambda: aws.s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=_PRIVATE),
        ),
        (
            "transport",
            "the bucket is reached by TLS only",
            lambda: aws.s3.get_bucket_policy(Bucket=bucket),
            lambda answer: json.loads(answer["Policy"]) == tls_only(bucket),
            lambda: aws.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(tls_only(bucket))),
        ),
        (
            "tags",
            "the bucket says whose it is",
            lambda: aws.s3.get_bucket_tagging(Bucket=bucket),
            lambda answer: {one["Key"]: one["Value"] for one in answer["TagSet"]} == _tags(names),
            lambda: aws.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": _pairs(names, "Key", "Value")}),  # type: ignore[typeddict-item]
        ),
    ):
        answer = _asked(read) if exists else None
        yield BootstrapStep(name, wanted, answer is not None and is_so(answer), put)  # type: ignore[arg-type]


def _key_step(aws: Aws, names: StateNames, scope: Scope) -> BootstrapStep:
    alias = names.key_alias(scope)
    exists = _asked(lambda: aws.kms.describe_key(KeyId=alias)) is not None
    return BootstrapStep(
        f"{scope} key", f"key {alias} encrypts its secrets ({_KEY_COST})", exists, lambda: _create_key(aws, names, scope)
    )


def _create_bucket(aws: Aws, names: StateNames) -> None:
    if names.region == "us-east-1":  # the one region that refuses to be named
        aws.s3.create_bucket(Bucket=names.bucket)
    else:
        aws.s3.create_bucket(Bucket=names.bucket, CreateBucketConfiguration={"LocationConstraint": names.region})  # type: ignore[typeddict-item]


def _keep_versions(aws: Aws, bucket: str) -> None:
    aws.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    aws.s3.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "old-states",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": _OLD_STATE_DAYS},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                }
            ]
        },
    )


def _create_key(aws: Aws, names: StateNames, scope: Scope) -> None:
    made = (
        _key_without_a_name(aws, names, scope)
        or aws.kms.create_key(
            Description=_described(names, scope),
            Tags=_pairs(names, "TagKey", "TagValue"),  # type: ignore[arg-type]
        )["KeyMetadata"]["KeyId"]
    )
    aws.kms.enable_key_rotation(KeyId=made)
    aws.kms.create_alias(AliasName=names.key_alias(scope), TargetKeyId=made)


def _described(names: StateNames, scope: Scope) -> str:
    return f"Secrets in the Pulumi state of teal {names.stack}: {scope}"


def _key_without_a_name(aws: Aws, names: StateNames, scope: Scope) -> str | None:
    """A key without an alias, left by an earlier run that ended too early.
    Unless it is used now, it costs money for ever and encrypts nothing."""
    wanted = [{"Key": name, "Values": [value]} for name, value in _tags(names).items()]
    pages = aws.tagging.get_paginator("get_resources").paginate(TagFilters=wanted, ResourceTypeFilters=["kms:key"])  # type: ignore[arg-type]
    for arn in [row["ResourceARN"] for page in pages for row in page["ResourceTagMappingList"]]:
        key = aws.kms.describe_key(KeyId=arn)["KeyMetadata"]
        usable = key["KeyState"] == "Enabled" and key.get("Description") == _described(names, scope)
        if usable and not aws.kms.list_aliases(KeyId=key["KeyId"])["Aliases"]:
            return key["KeyId"]
    return None


def _stack_step(pulumi: PulumiCli, names: StateNames, file: StackFile, *, look: bool) -> BootstrapStep:
    """Step that makes an empty stack whose secrets are encrypted with the platform's key.
    Pulumi makes the data key; each becomes a line of the stack file.

    `pulumi stack init` writes that file anew, without its comments and with other types, so what it made is read from the state instead.

    `pulumi stack init` without the provider's name, and the stack that `pulumi up` offers to make, would use a passphrase instead.
    """
    wanted = names.secrets_provider("platform")
    held = pulumi.secrets_of(file.stack) if look and file.stack in pulumi.stacks() else None
    if held is not None and held.provider != wanted:
        raise _another_key(held.provider, wanted, names.backend_url, file.stack)

    def make() -> None:
        pulumi.login()
        made, before = held, read_unchanged(file.path)
        if made is None:
            try:
                pulumi.create(file.stack, wanted)
            finally:
                put_back(file, before)
            made = pulumi.secrets_of(file.stack)
        write_key(file, made.provider, made.encrypted_key)  # made from another checkout, which never committed the stack file

    known = held is not None and file.secrets_provider == wanted and bool(file.encrypted_key)
    return BootstrapStep("stack", f"stack {file.stack} is there, and {file.path.name} names the key of its secrets", known, make)


def _another_key(held: str, wanted: str, where: str, stack: str) -> NeedsHuman:
    return NeedsHuman(
        f"The stack's secrets are encrypted by {held}; another key would make them unreadable",
        where=where,
        next=f"pulumi stack change-secrets-provider '{wanted}' --stack {stack}",
    )


def tls_only(bucket: str) -> dict[str, Any]:
    """The bucket's policy."""
    arn = f"arn:aws:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def _tags(names: StateNames) -> dict[str, str]:
    return {STACK_TAG: names.stack, STATE_TAG: "true"}


def _pairs(names: StateNames, key: str, value: str) -> list[dict[str, str]]:
    return [{key: name, value: text} for name, text in _tags(names).items()]


def _asked(ask: Callable[[], Any]) -> Any:
    """What `ask` returns, or None when AWS says that the thing does not exist."""
    try:
        return ask()
    except ClientError as error:
        if is_missing(error):
            return None
        raise


_ENCRYPTION: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
_PRIVATE: Any = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
