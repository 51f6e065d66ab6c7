"""The platform's program through Pulumi's real engine and its real Kubernetes provider, from its first `up` to its end. One story, in this order.

What is real and what stands in: platform_stack.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from infra.evaluation.evaluate import stack_values
from infra.platform.cluster import autoscaling
from teal.aws.names import StateNames
from teal.aws.session import Aws
from teal.aws.teardown import destroy
from tests.cluster.apiserver import ApiServer
from tests.engine import charts, inventory, platform_stack
from tests.engine.platform_stack import RELEASES, STACK, UNCHANGED, Platform
from tests.services.aws_place import ACCOUNT
from tests.services.aws_server import REGION
from tests.services.aws_server import start as start_aws

pytestmark = pytest.mark.timeout(1800)  # the first test builds what is missing
NAMES: Final = StateNames(STACK, ACCOUNT, REGION)
KEPT: Final = "helm.sh/resource-policy"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform_stack.start(tmp_path_factory) as started:
        yield started


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with start_aws() as server:
        server.reset()
        found = Aws(server.client, REGION)
        found.eks.create_cluster(name=f"teal-{STACK}", roleArn=f"arn:aws:iam::{ACCOUNT}:role/c", resourcesVpcConfig={})
        yield found


def kept(server: ApiServer) -> dict[str, Any]:
    """What a chart asks Helm to keep, by path: ECK's definitions, and the server's own entries of their groups."""
    found = inventory.objects(server)
    asked = {path: one for path, one in found.items() if one["metadata"].get("annotations", {}).get(KEPT) == "keep"}
    groups = {one["spec"]["group"] for one in asked.values()}
    entries = {path: one for path, one in found.items() if one.get("spec", {}).get("group") in groups and "/apiservices/" in path}
    return asked | entries


def test_the_platform_is_made(platform: Platform) -> None:
    space = platform.workspace
    promised = space.preview(STACK)["changeSummary"]
    assert set(promised) == {"create"}
    assert space.up(STACK) == promised
    assert platform.records() == {name: {1: "deployed"} for name in RELEASES.values()}
    server = platform.kubernetes.server
    (engine,) = server.ask("GET", "/apis/elasticsearch.k8s.elastic.co/v1/elasticsearches")["items"]
    assert engine["spec"]["version"] == stack_values(STACK)["teal:search"]["version"]  # type: ignore[index]
    keda = server.ask("GET", f"/apis/apps/v1/namespaces/{autoscaling.NAMESPACE}/deployments/keda-operator")
    assert keda["status"]["availableReplicas"] == 2
    assert keda["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "100m", "memory": "200Mi"}


def test_up_again_changes_nothing(platform: Platform) -> None:
    before, held = platform.all(), inventory.generations(platform.made())
    assert set(platform.workspace.up(STACK)) == UNCHANGED
    assert platform.all() == before
    assert inventory.generations(platform.made()) == held


def test_a_refresh_of_what_nobody_touched_finds_nothing(platform: Platform) -> None:
    before = inventory.generations(platform.made())
    assert set(platform.workspace.up(STACK, "--refresh")) == UNCHANGED
    assert inventory.generations(platform.made()) == before
    assert platform.records() == {name: {1: "deployed"} for name in RELEASES.values()}


def test_an_upgrade_changes_images_settings_and_charts_in_place(platform: Platform) -> None:
    """A later chart of both operators, another Elasticsearch, three nodes and zones, no Kibana, load tests: the next `up` finds no change."""
    before = inventory.identities(platform.made())
    platform.take(later=True)
    counts = platform.workspace.up(STACK)
    assert counts["update"] > 0
    assert platform.records() == {name: {1: "superseded", 2: "deployed"} for name in RELEASES.values()}
    assert platform.image_tags() == charts.LATER
    after = inventory.identities(platform.made())
    gone = {path.rsplit("/", 2)[1] for path, uid in before.items() if after.get(path) != uid}
    assert gone == {"kibanas", "configmaps", "jobs"}  # the set-up Job and its script are named by what they do
    assert set(platform.workspace.up(STACK, "--refresh")) == UNCHANGED


def test_destroy_leaves_nothing_but_the_definitions_that_eck_s_chart_keeps(platform: Platform, aws: Aws) -> None:
    """Phase by phase, as `teal destroy --delete-data` does it. Those definitions end with the cluster, which is a stand-in here."""
    cli = platform.cli()
    programs = destroy.Programs(cli, cli)
    list(
        destroy.run_destroy(aws, programs, destroy.plan_destroy(programs, NAMES, destroy.DestroyRequest(STACK, delete_data=True)))
    )
    assert STACK not in cli.stacks()
    assert inventory.left(platform.kubernetes.server, {**platform.before, **kept(platform.kubernetes.server)}) == []
