"""A tear-down when Kubernetes does not answer, through the real engine. One story, in this order.

Here the plugin of Kubernetes is a process that Pulumi itself starts, as in life: it sees what `teal` put into Pulumi's environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2

from teal.aws.names import StateNames
from teal.aws.pulumi.cli import ClusterUnreachable, PulumiCli
from teal.aws.session import Aws
from teal.aws.teardown import destroy
from teal.errors import NEEDS_HUMAN
from tests.engine.conftest import Engine
from tests.engine.provider import PACKAGES, Cloud, StandIn, serve
from tests.services.aws_server import REGION, start

STACK = "dev"
NAMES = StateNames(STACK, "123456789012", REGION)
PROGRAM = """
import pulumi
from pulumi_aws import eks, s3
from pulumi_kubernetes import Provider
from pulumi_kubernetes.core.v1 import Namespace
s3.Bucket("documents", bucket="documents", opts=pulumi.ResourceOptions(protect=True))
cluster = eks.Cluster("cluster", role_arn="arn:aws:iam::123456789012:role/c", vpc_config={"subnet_ids": []})
provider = Provider("cluster", kubeconfig="{}", opts=pulumi.ResourceOptions(depends_on=[cluster]))
Namespace("search", opts=pulumi.ResourceOptions(provider=provider))
"""
# What a plugin does when Pulumi starts it: say a port, and serve there until it is ended.
PLUGIN = """#!/bin/sh
if [ "$PULUMI_K8S_DELETE_UNREACHABLE" = true ]; then echo {forgetting}; else echo {unreachable}; fi
exec sleep 120
"""


class Unreachable(StandIn):
    """pulumi-kubernetes when the API does not answer: it refuses, in these words."""

    def Delete(self, _request: Any, context: Any) -> Any:
        context.abort(
            grpc.StatusCode.UNKNOWN,
            "configured Kubernetes cluster is unreachable. If the cluster was deleted, you can remove this resource from Pulumi state"
            ' by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"',
        )


class Forgetting(StandIn):
    """The same with PULUMI_K8S_DELETE_UNREACHABLE: it says yes, and nothing in a cluster is touched."""

    def Delete(self, _request: Any, _context: Any) -> Any:
        return empty_pb2.Empty()


@pytest.fixture(scope="module")
def programs(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[destroy.Programs]:
    """An environment that was made while Kubernetes answered; now it does not."""
    main = tmp_path_factory.mktemp("program")
    (main / "__main__.py").write_text(PROGRAM)
    workspace = engine.open("teal", main)
    workspace.stack(STACK, {"aws:region": REGION})
    workspace.up(STACK)
    folder: Path = tmp_path_factory.mktemp("plugins")
    with serve(Cloud(), ("k",), Unreachable) as unreachable, serve(Cloud(), ("k",), Forgetting) as forgetting:
        plugin = folder / "pulumi-resource-kubernetes"
        plugin.write_text(PLUGIN.format(unreachable=unreachable[2:], forgetting=forgetting[2:]))
        plugin.chmod(0o755)
        others = ",".join(one for one in workspace.providers.split(",") if not one.startswith("kubernetes:"))
        assert len(others.split(",")) == len(PACKAGES) - 1
        environment = {**workspace.environment, "PULUMI_DEBUG_PROVIDERS": others, "PATH": f"{folder}:{os.environ['PATH']}"}
        cli = PulumiCli(workspace.folder, workspace.environment["PULUMI_BACKEND_URL"], environment)
        yield destroy.Programs(cli, cli)


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with start() as server:
        server.reset()
        aws = Aws(server.client, REGION)
        aws.eks.create_cluster(name=NAMES.prefix, roleArn="arn:aws:iam::123456789012:role/c", resourcesVpcConfig={})
        yield aws


def kinds(engine: Engine) -> set[str]:
    return {thing.type for thing in engine.cloud.things.values()}


def test_a_cluster_that_is_there_and_does_not_answer_stops_the_tear_down(
    engine: Engine, programs: destroy.Programs, aws: Aws
) -> None:
    plan = destroy.plan_destroy(programs, NAMES, destroy.DestroyRequest(STACK))
    with pytest.raises(ClusterUnreachable) as raised:
        list(destroy.run_destroy(aws, programs, plan))
    assert raised.value.exit_code == NEEDS_HUMAN
    assert "--cluster-gone" in raised.value.next
    assert {"aws:eks/cluster:Cluster", "kubernetes:core/v1:Namespace"} <= kinds(engine)


def test_when_aws_knows_no_cluster_its_objects_are_forgotten_and_the_rest_goes(
    engine: Engine, programs: destroy.Programs, aws: Aws
) -> None:
    aws.eks.delete_cluster(name=NAMES.prefix)
    events = list(destroy.run_destroy(aws, programs, destroy.plan_destroy(programs, NAMES, destroy.DestroyRequest(STACK))))
    assert (events[0].step, events[0].state) == ("cluster", "warn")
    assert events[-1].step == "leftovers"
    assert {one.type for one in programs.platform.resources(STACK)} == {"aws:s3/bucket:Bucket", "pulumi:providers:aws"}
    assert not {kind for kind in kinds(engine) if kind.startswith("aws:eks/")}
