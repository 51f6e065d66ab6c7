"""An environment is taken down and its data stays, through the real engine; then it is built again around that data. One story, in this order."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from infra.evaluation.evaluate import ROOT, stack_values
from teal.aws.names import StateNames
from teal.aws.pulumi.cli import PulumiCli
from teal.aws.session import Aws
from teal.aws.teardown import destroy
from teal.aws.teardown import order as teardown
from tests.engine.conftest import Engine
from tests.engine.workspace import Workspace
from tests.services.aws_server import REGION, start

STACK = "dev"
NAMES = StateNames(STACK, "123456789012", REGION)


@pytest.fixture(scope="module")
def workspace(engine: Engine) -> Workspace:
    # ECK makes this secret; the program reads it (tests/engine/test_platform.py).
    engine.cloud.others["kubernetes:core/v1:Secret", "teal-search/teal-es-http-certs-public"] = {"data": {"ca.crt": "Y2E="}}
    made = engine.open("teal", ROOT / "infra")
    made.stack(STACK, stack_values(STACK))
    made.up(STACK)
    return made


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with start() as server:
        server.reset()
        aws = Aws(server.client, REGION)
        aws.eks.create_cluster(name=f"teal-{STACK}", roleArn="arn:aws:iam::123456789012:role/c", resourcesVpcConfig={})
        yield aws


def held(engine: Engine) -> set[tuple[str, str]]:
    return {(thing.type, thing.name) for thing in engine.cloud.things.values() if thing.type in teardown.DATA_TYPES}


def test_without_data_everything_goes_but_the_data_and_what_it_needs(engine: Engine, workspace: Workspace, aws: Aws) -> None:
    cli = PulumiCli(workspace.folder, workspace.environment["PULUMI_BACKEND_URL"], workspace.environment)
    programs = destroy.Programs(cli, cli)
    before = held(engine)
    assert {kind for kind, _ in before} == set(teardown.DATA_TYPES)
    engine.cloud.done.clear()
    began = time.monotonic()
    list(destroy.run_destroy(aws, programs, destroy.plan_destroy(programs, NAMES, destroy.DestroyRequest(STACK))))
    buckets = {name for kind, name in before if kind == "aws:s3/bucket:Bucket"}
    for guard in ("PublicAccessBlock", "Policy", "Versioning", "ServerSideEncryptionConfiguration", "OwnershipControls"):
        kind = f"aws:s3/bucket{guard}:Bucket{guard}"
        assert {thing.name for thing in engine.cloud.things.values() if thing.type == kind} == buckets, guard
    left = {thing.type for thing in engine.cloud.things.values()}
    print(f"kept: {len(engine.cloud.things)} of which {len(before)} data, in {time.monotonic() - began:.1f} s: {sorted(left)}")
    assert held(engine) == before
    assert not {kind for kind in left if kind.startswith(("kubernetes:", "aws:eks/", "aws:lb/", "aws:elasticache/"))}
    # What costs by the hour and is needed by no data.
    assert not left & {"aws:ec2/natGateway:NatGateway", "aws:amp/scraper:Scraper", "aws:ec2/vpcEndpoint:VpcEndpoint"}


def test_up_builds_the_rest_again_around_the_data_that_stayed(engine: Engine, workspace: Workspace) -> None:
    before = held(engine)
    engine.cloud.done.clear()
    workspace.up(STACK)
    assert held(engine) == before
    assert not [entry for entry in engine.cloud.done if entry[0] != "create" and entry[1] in teardown.DATA_TYPES]
    assert set(workspace.changes(STACK)) == {"create", "same"}
