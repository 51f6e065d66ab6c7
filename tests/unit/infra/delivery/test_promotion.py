"""An image's way between stacks: a later stack reads the earlier one's images and record, and nothing else of it."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

import pytest

from contract.promotion import NeighborStack
from infra.config.read import ConfigError, load_config
from infra.delivery.promotion import (
    StackPlace,
    bucket_readers,
    image_statements,
    key_reader,
    place_of,
    record_statements,
    repository_reader,
)
from infra.evaluation import evaluate as evaluation
from infra.evaluation.evaluate import Evaluation, RegisteredResource
from teal.record.releases import outcome_key, plan_key
from teal.record.s3 import RECORD
from teal.record.source import source_key
from tests.unit.infra.conftest import evaluate, of_type

STAGING = StackPlace("staging", "111122223333", "eu-west-1")
PROD = StackPlace("prod", "444455556666", "eu-central-1")
BUCKET = "arn:aws:s3:::teal-staging-releases-111122223333"
FOREIGN = {"promoted_to": {"stack": "prod", "account_id": PROD.account_id}}


def rights(stack: str, kind: str) -> list[dict[str, Any]]:
    policies = of_type(evaluate("platform", stack), "aws:iam/rolePolicy:RolePolicy")
    (policy,) = [one for one in policies if one.name == f"delivery-{kind}"]
    found: list[dict[str, Any]] = json.loads(policy.inputs["policy"])["Statement"]
    return [one for one in found if one["Sid"].startswith("Source")]


def with_promotion(stack: str, section: dict[str, Any]) -> Evaluation:
    values = {**evaluation.stack_values(stack), "teal:promotion": section}
    return evaluation.evaluate_program("teal", evaluation.ROOT / "infra" / "__main__.py", stack, values)


def test_each_committed_stack_takes_its_images_from_the_one_before() -> None:
    assert rights("dev", "build") == rights("dev", "release") == []
    for stack, before in (("staging", "dev"), ("prod", "staging")):
        (images,) = rights(stack, "build")
        assert images["Resource"] == [f"arn:aws:ecr:eu-central-1:123456789012:repository/teal-{before}"]
        assert rights(stack, "release")[1]["Resource"] == [f"arn:aws:s3:::teal-{before}-releases-123456789012"]


def test_a_later_stack_writes_nothing_in_the_earlier_one() -> None:
    written = [*image_statements(STAGING), *record_statements(STAGING), repository_reader(PROD), *bucket_readers(STAGING, PROD)]
    for statement in (*written, key_reader(STAGING, PROD)):
        assert all(
            action.split(":")[1].startswith(("Get", "List", "Batch", "Describe", "Decrypt")) for action in statement["Action"]
        )
        assert "ecr:BatchDeleteImage" not in statement["Action"]


@pytest.mark.parametrize("key", [RECORD, plan_key("r1"), outcome_key("r1"), source_key("r1")])
def test_a_later_stack_may_read_every_document_that_decides_and_no_evidence(key: str) -> None:
    for statement in (record_statements(STAGING)[0], bucket_readers(STAGING, PROD)[0]):
        assert [one for one in statement["Resource"] if fnmatch.fnmatchcase(f"{BUCKET}/{key}", one)]
        assert not [one for one in statement["Resource"] if fnmatch.fnmatchcase(f"{BUCKET}/evidence/r1/index.html", one)]


def test_the_key_of_the_earlier_stack_opens_that_bucket_alone() -> None:
    for statement in (record_statements(STAGING)[2], key_reader(STAGING, PROD)):
        condition = statement["Condition"]["StringEquals"]
        assert condition["kms:ViaService"] == "s3.eu-west-1.amazonaws.com"
        assert condition["kms:EncryptionContext:aws:s3:arn"] == BUCKET


def test_of_another_account_one_role_may_read_the_images_and_one_the_record() -> None:
    readers = {"build": [repository_reader(PROD)], "release": [*bucket_readers(STAGING, PROD), key_reader(STAGING, PROD)]}
    for kind, statements in readers.items():
        for statement in statements:
            assert statement["Principal"] == {"AWS": "arn:aws:iam::444455556666:root"}
            role = statement["Condition"]["StringEquals"]["aws:PrincipalArn"]
            assert role == f"arn:aws:iam::444455556666:role/teal-prod-github-{kind}"


def test_a_stack_in_the_same_account_opens_nothing() -> None:
    assert not of_type(evaluate("platform", "staging"), "aws:ecr/repositoryPolicy:RepositoryPolicy")
    assert place_of(NeighborStack(stack="prod"), "111122223333", "eu-west-1") == StackPlace("prod", "111122223333", "eu-west-1")


def test_a_stack_that_promotes_into_another_account_opens_its_repository_bucket_and_key() -> None:
    found = with_promotion("staging", FOREIGN)

    def named(kind: str, name: str) -> RegisteredResource:
        (one,) = [each for each in of_type(found, kind) if each.name == name]
        return one

    images = named("aws:ecr/repositoryPolicy:RepositoryPolicy", "delivery")
    assert json.loads(images.inputs["policy"])["Statement"] == [repository_reader(PROD)]
    here = StackPlace("staging", "123456789012", "eu-central-1")
    record = json.loads(named("aws:s3/bucketPolicy:BucketPolicy", "releases").inputs["policy"])["Statement"]
    assert record[1:] == bucket_readers(here, PROD)
    key = json.loads(named("aws:kms/key:Key", "keys-data").inputs["policy"])["Statement"]
    assert key[1:] == [key_reader(here, PROD)]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"promoted_from": {"stack": "prod"}}, "prod is this stack itself"),
        ({"ci_workflow": "ci.yml"}, "it is asked only of an image that comes from another stack"),
        ({"promoted_from": {"stack": "staging", "account_id": "1"}}, "account_id"),
        ({"promoted_frm": {"stack": "staging"}}, "there is no such key"),
    ],
)
def test_a_promotion_that_cannot_be_is_refused_before_anything_is_made(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config({**evaluation.stack_values("prod"), "teal:promotion": section}, "prod", "Pulumi.prod.yaml")
