"""The platform's program through Pulumi's real engine and its real Kubernetes provider, with Helm in it. One story, in this order.

AWS is a stand-in, except that its cluster is a real API server. Both operators' charts come from a repository of these tests (charts.py);
no operator runs, so the one Secret that ECK would make, and that the program reads, is made here.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from infra.evaluation.evaluate import ROOT, stack_values
from infra.platform.cluster import autoscaling
from infra.platform.search import operator
from infra.platform.search.resources import CA_SECRET, NAMESPACE
from teal.aws.names import StateNames
from teal.aws.pulumi.cli import PulumiCli
from teal.aws.session import Aws
from teal.aws.teardown import destroy
from tests.cluster.apiserver import ApiServer
from tests.cluster.objects import custom_resource_definitions
from tests.engine import charts, inventory, kubernetes
from tests.engine.command import put_on_path
from tests.engine.kubernetes import TOKENS, WHO, Kubernetes
from tests.engine.provider import Cloud, serve
from tests.engine.workspace import Workspace, kill
from tests.services import aws_server
from tests.services.aws_server import REGION

STACK: Final = "dev"
NAMES: Final = StateNames(STACK, "123456789012", REGION)
LOOK_SECONDS: Final = 0.2
BY_CHARTS: Final = ("elastic.co", "keda.sh")  # groups whose definitions the charts bring
CHANGED: Final = stack_values(STACK) | {
    key: {**stack_values(STACK)[key], **parts}  # type: ignore[dict-item]
    for key, parts in {
        "teal:search": {"version": "8.19.22", "storage_gib": 20, "memory_gib": 8, "refresh_interval": "5s"},
        "teal:database": {"maintenance_schedule": "10 2 * * 0"},
        "teal:service": {"cpu": "250m", "memory_mib": 1536, "worker_max": 4},
    }.items()
}
RELEASES: Final = {"elastic-operator": operator.NAMESPACE, "keda": autoscaling.NAMESPACE}

pytestmark = pytest.mark.timeout(900)  # the first test builds what is missing


@dataclass
class Platform:
    """The platform's stack, and the server as EKS hands it over."""

    kubernetes: Kubernetes
    workspace: Workspace
    before: Mapping[str, Any]

    def made(self) -> dict[str, dict[str, Any]]:
        return inventory.made(self.kubernetes.server, self.before)

    def helm_records(self, release: str) -> list[dict[str, Any]]:
        """The Secrets in which Helm keeps what it knows of a release, the oldest first."""
        found = self.kubernetes.server.ask(
            "GET", f"/api/v1/namespaces/{RELEASES[release]}/secrets", params={"labelSelector": f"owner=helm,name={release}"}
        )
        records: list[dict[str, Any]] = found["items"]
        return records


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A cluster as EKS makes it: with the definitions of its own kinds, and nothing of ours."""
    folder = tmp_path_factory.mktemp("kubernetes")
    offered = charts.charts()
    with pytest.MonkeyPatch.context() as shell, charts.serving(folder, offered) as variables:
        put_on_path(shell, tmp_path_factory.getbasetemp() / "pulumi")
        with kubernetes.start(folder, shell, variables) as started, certified(started.server):
            own = [one for one in custom_resource_definitions() if not one["spec"]["group"].endswith(BY_CHARTS)]
            started.server.define(own)
            with serve(Cloud(), kubernetes.STOOD_IN, kubernetes.aws_of(started)) as providers:
                made = workspace(tmp_path_factory.mktemp("states"), providers, stack_values(STACK))
                yield Platform(started, made, inventory.objects(started.server))


def workspace(folder: Path, providers: str, values: Mapping[str, Any]) -> Workspace:
    made = Workspace.make(folder / STACK, "teal", ROOT / "infra", providers)
    made.stack(STACK, values)
    return made


@contextmanager
def certified(server: ApiServer) -> Iterator[None]:
    """As ECK does: once there is an Elasticsearch, the Secret with its authority, which goes with it."""
    ended = threading.Event()
    path = f"/apis/elasticsearch.k8s.elastic.co/v1/namespaces/{NAMESPACE}/elasticsearches"

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            answer = server.client.get(path)
            for one in answer.json()["items"] if answer.is_success else ():
                owner = {
                    "apiVersion": one["apiVersion"],
                    "kind": one["kind"],
                    "name": one["metadata"]["name"],
                    "uid": one["metadata"]["uid"],
                }
                metadata = {"name": CA_SECRET, "namespace": NAMESPACE, "ownerReferences": [owner]}
                server.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"ca.crt": "Y2E="}}, "operator")

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_an_up_that_was_killed_while_helm_installed_is_finished_by_the_runbook(platform: Platform) -> None:
    """runbooks/stuck-pulumi-state.md: Helm refuses a second installation of a release until its record of the first is gone."""
    space = platform.workspace
    with platform.kubernetes.pods.waiting():
        running = space.start("up", "--stack", STACK, "--yes", "--skip-preview")
        platform.kubernetes.server.wait(lambda: all(map(platform.helm_records, RELEASES)), "both releases of Helm")
        kill(running)
    space.must("cancel", "--stack", STACK, "--yes")
    space.must("refresh", "--stack", STACK, "--yes", "--skip-preview", "--clear-pending-creates")
    forget_helm_records(platform)
    assert "create" in space.up(STACK)


def test_up_again_changes_nothing(platform: Platform) -> None:
    before = inventory.generations(platform.made())
    assert set(platform.workspace.up(STACK)) == {"same"}
    assert inventory.generations(platform.made()) == before


def test_a_refresh_of_what_nobody_touched_finds_nothing(platform: Platform) -> None:
    platform.workspace.must("refresh", "--stack", STACK, "--yes", "--skip-preview")
    assert set(platform.workspace.changes(STACK)) == {"same"}
    before = inventory.generations(platform.made())
    assert set(platform.workspace.up(STACK)) == {"same"}
    assert inventory.generations(platform.made()) == before


def test_a_plan_needs_no_more_rights_than_its_role_has(platform: Platform) -> None:
    """The role of a pull request's preview may try changes, and reads no Secret."""
    plan = dataclasses.replace(platform.workspace, more={WHO: TOKENS["preview"]})
    assert set(plan.preview(STACK)["changeSummary"]) == {"same"}


def test_every_setting_that_reaches_the_cluster_is_changed_and_nothing_is_made_twice(platform: Platform) -> None:
    before, space = inventory.identities(platform.made()), platform.workspace
    space.configure(STACK, CHANGED)
    space.up(STACK)
    jobs = {path for path in before if "/jobs/" in path or "/configmaps/" in path}  # named by what they do
    after = inventory.identities(platform.made())
    assert {path: uid for path, uid in before.items() if path not in jobs} == {
        path: uid for path, uid in after.items() if path in before and path not in jobs
    }
    assert set(space.up(STACK, "--refresh")) == {"same"}


def test_after_a_lost_state_every_object_is_adopted(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> None:
    before, held = inventory.identities(platform.made()), inventory.generations(platform.made())
    platform.workspace = empty = workspace(tmp_path_factory.mktemp("lost"), platform.workspace.providers, CHANGED)
    forget_helm_records(platform)
    assert set(empty.up(STACK)) <= {"create", "read"}
    assert inventory.identities(platform.made()) == before
    assert inventory.generations(platform.made()) == held
    assert set(empty.up(STACK)) == {"same"}


def test_destroy_leaves_nothing_in_the_cluster(platform: Platform, aws: Aws) -> None:
    space = platform.workspace
    cli = PulumiCli(space.folder, space.environment["PULUMI_BACKEND_URL"], space.environment)
    programs = destroy.Programs(cli, cli)
    list(
        destroy.run_destroy(aws, programs, destroy.plan_destroy(programs, NAMES, destroy.DestroyRequest(STACK, delete_data=True)))
    )
    assert inventory.left(platform.kubernetes.server, platform.before) == []


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with aws_server.start() as server:
        server.reset()
        made = Aws(server.client, REGION)
        made.eks.create_cluster(name=f"teal-{STACK}", roleArn="arn:aws:iam::123456789012:role/c", resourcesVpcConfig={})
        yield made


def forget_helm_records(platform: Platform) -> None:
    """The runbook's `kubectl delete secret --selector owner=helm`: what is installed stays, and the next installation takes it over."""
    for release, namespace in RELEASES.items():
        platform.kubernetes.server.ask(
            "DELETE", f"/api/v1/namespaces/{namespace}/secrets", params={"labelSelector": f"owner=helm,name={release}"}
        )
