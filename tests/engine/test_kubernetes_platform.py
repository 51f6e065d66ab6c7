"""The platform's program through Pulumi's real engine and its real Kubernetes provider, Helm in it. One story, in this order.

A real API server and controller manager take every object; nothing runs in the pods (pods.py). AWS stands in (provider.py). Helm reads its charts
by the addresses that the program names, which a tunnel answers (charts.py): ECK's own chart, and one of the tests' own for KEDA's.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from infra.evaluation.evaluate import ROOT, stack_values
from infra.platform.cluster import autoscaling
from infra.platform.search import operator
from tests.cluster.objects import custom_resource_definitions
from tests.engine import charts, inventory, kubernetes, search_ca, tunnel
from tests.engine.command import put_on_path
from tests.engine.kubernetes import Kubernetes
from tests.engine.provider import Cloud, serve
from tests.engine.workspace import Workspace

STACK: Final = "dev"
RELEASES: Final = {autoscaling.NAMESPACE: "keda", operator.NAMESPACE: "elastic-operator"}  # by namespace, their names for Helm
WITH_CHARTS: Final = ("elastic.co", "keda.sh")  # the definitions that charts bring
IMAGE: Final = f"registry.example/load@sha256:{'ab' * 32}"
UNCHANGED: Final = {"same", "read"}  # the Secret with ECK's certificate authority is read at each `up`

pytestmark = pytest.mark.timeout(1800)  # the first test builds what is missing

# The program with other numbers where it has constants: what the commit of an upgrade changes.
_LATER: Final = f"""
import runpy
from infra.platform.cluster import autoscaling
from infra.platform.search import exporter, operator
from infra.platform.stores import database_maintenance
autoscaling.VERSION, operator.VERSION = {charts.LATER[charts.KEDA]!r}, {charts.LATER[charts.ECK]!r}
exporter.IMAGE += "-later"
database_maintenance.IMAGE += "-later"
runpy.run_path({str(ROOT / "infra" / "__main__.py")!r}, run_name="__main__")
"""


@dataclass
class Platform:
    """The stack, and the server as it was before it."""

    kubernetes: Kubernetes
    workspace: Workspace
    before: Mapping[str, Any]

    def made(self) -> dict[str, dict[str, Any]]:
        """What the program itself applied."""
        return inventory.made(self.kubernetes.server, self.before)

    def all(self) -> dict[str, str]:
        """Everything that was not there before, of charts and controllers too: identities by path."""
        found = inventory.objects(self.kubernetes.server)
        return inventory.identities({path: one for path, one in found.items() if path not in self.before})

    def helm(self) -> dict[str, tuple[str, int]]:
        """What Helm's newest record of each release says: its status and its number, by name."""
        secrets = self.kubernetes.server.ask("GET", "/api/v1/secrets", params={"labelSelector": "owner=helm"})["items"]
        rows = sorted((one["metadata"]["labels"]["name"], int(one["metadata"]["labels"]["version"]), one) for one in secrets)
        return {name: (one["metadata"]["labels"]["status"], number) for name, number, one in rows}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A cluster as EKS hands it over: with the definitions of its own kinds and of its add-ons', and nothing else."""
    folder, cloud = tmp_path_factory.mktemp("kubernetes"), Cloud()
    answer = functools.partial(charts.answer, charts.answers())
    with (
        pytest.MonkeyPatch.context() as changed,
        serve(cloud, kubernetes.STOOD_IN) as providers,
        tunnel.dig(folder, charts.HOSTS, answer) as way,
    ):
        put_on_path(changed, tmp_path_factory.getbasetemp() / "pulumi")
        with kubernetes.start(folder, changed, way) as started, search_ca.given(started.server):
            found = custom_resource_definitions()
            started.server.define([one for one in found if not one["spec"]["group"].endswith(WITH_CHARTS)])
            trust = {"data": started.ca_data}
            cloud.given["aws:eks/cluster:Cluster"] = {
                "endpoint": started.endpoint, "certificateAuthority": trust, "certificateAuthorities": [trust],
            }  # fmt: skip
            before = inventory.objects(started.server)
            yield Platform(started, workspace(tmp_path_factory.mktemp("states"), providers), before)


def workspace(folder: Path, providers: str) -> Workspace:
    """With the program, and beside it the one of the upgrade."""
    (folder / "later").mkdir()
    (folder / "later" / "__main__.py").write_text(_LATER)
    made = Workspace.make(folder / STACK, "teal", ROOT / "infra", providers)
    made.stack(STACK, stack_values(STACK))
    return made


def settings() -> dict[str, Any]:
    """Other values wherever one of them reaches an object of Kubernetes."""
    found: dict[str, Any] = copy.deepcopy(dict(stack_values(STACK)))
    found["teal:network"] |= {"zones": 3, "egress_ports": [8443]}
    found["teal:search"] |= {"version": "8.19.22", "nodes": 3, "replicas": 1, "memory_gib": 8, "storage_gib": 20, "kibana": False}
    found["teal:database"] |= {"maintenance_schedule": "15 4 * * 1"}
    found["teal:load"] = {"workers": 2, "image": IMAGE, "mock_model": "mock,first=200ms"}
    return found


def take_later(platform: Platform) -> None:
    """The next `up` has another commit of the program, and other settings."""
    space = platform.workspace
    file, main = space.folder / "Pulumi.yaml", space.folder.parent / "later"
    file.write_text(
        "".join(f"main: {main}\n" if line.startswith("main:") else line for line in file.read_text().splitlines(True))
    )
    space.configure(STACK, settings())


def deployed(platform: Platform) -> dict[str, int]:
    """The numbers of the releases, all of which are well."""
    found = platform.helm()
    assert {status for status, _ in found.values()} == {"deployed"}
    return {name: number for name, (_, number) in found.items()}


def test_the_platform_is_made(platform: Platform) -> None:
    space = platform.workspace
    promised = space.preview(STACK)["changeSummary"]
    assert set(promised) == {"create"}
    assert space.up(STACK) == promised
    assert deployed(platform) == dict.fromkeys(RELEASES.values(), 1)
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
    assert set(deployed(platform).values()) == {1}


def test_an_upgrade_changes_images_settings_and_charts_in_place(platform: Platform) -> None:
    """A later chart of both operators, another Elasticsearch, three nodes and zones, no Kibana, load tests: the next `up` finds no change."""
    before = inventory.identities(platform.made())
    take_later(platform)
    counts = platform.workspace.up(STACK)
    assert counts["update"] > 0
    assert set(deployed(platform).values()) == {2}
    after = inventory.identities(platform.made())
    gone = {path.rsplit("/", 2)[1] for path, uid in before.items() if after.get(path) != uid}
    assert gone == {"kibanas", "configmaps", "jobs"}  # the set-up Job and its script are named by what they do
    assert set(platform.workspace.up(STACK, "--refresh")) == UNCHANGED
