"""The platform's stack through Pulumi's real engine and its real Kubernetes provider, Helm in it: what the stories about it share.

A real API server and controller manager take every object; nothing runs in the pods (pods.py). AWS stands in (provider.py). Helm reads its charts
by the addresses that the program names, which a tunnel answers (charts.py): ECK's own chart, and one of the tests' own for KEDA's.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from infra.evaluation.evaluate import ROOT, stack_values
from infra.platform.cluster import autoscaling
from infra.platform.search import operator
from teal.aws.pulumi.cli import PulumiCli
from tests.cluster.objects import custom_resource_definitions
from tests.engine import charts, inventory, kubernetes, search_ca, tunnel
from tests.engine.command import put_on_path
from tests.engine.kubernetes import Kubernetes
from tests.engine.provider import Cloud, serve
from tests.engine.workspace import Workspace

STACK: Final = "dev"
RELEASES: Final = {autoscaling.NAMESPACE: "keda", operator.NAMESPACE: "elastic-operator"}  # by namespace, their names for Helm
OPERATORS: Final = {  # the pods' templates that the releases are about
    charts.KEDA: f"/apis/apps/v1/namespaces/{autoscaling.NAMESPACE}/deployments/keda-operator",
    charts.ECK: f"/apis/apps/v1/namespaces/{operator.NAMESPACE}/statefulsets/elastic-operator",
}
UNCHANGED: Final = {"same", "read"}  # the Secret with ECK's certificate authority is read at each `up`
_WITH_CHARTS: Final = ("elastic.co", "keda.sh")  # the definitions that charts bring
_IMAGE: Final = f"registry.example/load@sha256:{'ab' * 32}"
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
    """The stack, and the server as it was before it. `folder` holds the server's files."""

    kubernetes: Kubernetes
    workspace: Workspace
    before: Mapping[str, Any]
    folder: Path

    def made(self) -> dict[str, dict[str, Any]]:
        """What the program itself applied."""
        return inventory.made(self.kubernetes.server, self.before)

    def all(self) -> dict[str, str]:
        """Everything that was not there before, of charts and controllers too: identities by path."""
        found = inventory.objects(self.kubernetes.server)
        return inventory.identities({path: one for path, one in found.items() if path not in self.before})

    def records(self) -> dict[str, dict[int, str]]:
        """Helm's records: the status of each version of each release, by name and number."""
        secrets = self.kubernetes.server.ask("GET", "/api/v1/secrets", params={"labelSelector": "owner=helm"})["items"]
        found: dict[str, dict[int, str]] = {}
        for label in (one["metadata"]["labels"] for one in secrets):
            found.setdefault(label["name"], {})[int(label["version"])] = label["status"]
        return found

    def image_tags(self) -> dict[str, str]:
        """Of both operators' pods, by chart: charts make them of their own version."""
        server = self.kubernetes.server
        pods = {name: server.ask("GET", path)["spec"]["template"]["spec"] for name, path in OPERATORS.items()}
        return {name: pod["containers"][0]["image"].rpartition(":")[2] for name, pod in pods.items()}

    def take(self, later: bool) -> None:
        """The next `up` has another commit of the program, and other settings."""
        space = self.workspace
        file, main = space.folder / "Pulumi.yaml", space.folder.parent / "later" if later else ROOT / "infra"
        file.write_text(
            "".join(f"main: {main}\n" if line.startswith("main:") else line for line in file.read_text().splitlines(True))
        )
        space.configure(STACK, _settings() if later else stack_values(STACK))

    def cli(self) -> PulumiCli:
        """As `teal` itself runs Pulumi's commands."""
        return PulumiCli(self.workspace.folder, self.workspace.environment["PULUMI_BACKEND_URL"], self.workspace.environment)


@contextmanager
def start(factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A cluster as EKS hands it over: with the definitions of its own kinds and of its add-ons', and nothing else."""
    folder, cloud = factory.mktemp("kubernetes"), Cloud()
    answer = functools.partial(charts.answer, charts.answers())
    with (
        pytest.MonkeyPatch.context() as changed,
        serve(cloud, kubernetes.STOOD_IN) as providers,
        tunnel.dig(folder, charts.HOSTS, answer) as way,
    ):
        put_on_path(changed, factory.getbasetemp() / "pulumi")
        with kubernetes.start(folder, changed, way) as started, search_ca.given(started.server):
            found = custom_resource_definitions()
            started.server.define([one for one in found if not one["spec"]["group"].endswith(_WITH_CHARTS)])
            trust = {"data": started.ca_data}
            cloud.given["aws:eks/cluster:Cluster"] = {
                "endpoint": started.endpoint, "certificateAuthority": trust, "certificateAuthorities": [trust],
            }  # fmt: skip
            before = inventory.objects(started.server)
            yield Platform(started, workspace(factory.mktemp("states"), providers), before, folder)


def workspace(folder: Path, providers: str) -> Workspace:
    """An empty stack with the program, and beside it the one of an upgrade."""
    (folder / "later").mkdir()
    (folder / "later" / "__main__.py").write_text(_LATER)
    made = Workspace.make(folder / STACK, "teal", ROOT / "infra", providers)
    made.stack(STACK, stack_values(STACK))
    return made


def _settings() -> dict[str, Any]:
    """Other values wherever one of them reaches an object of Kubernetes."""
    found: dict[str, Any] = copy.deepcopy(dict(stack_values(STACK)))
    found["teal:network"] |= {"zones": 3, "egress_ports": [8443]}
    found["teal:search"] |= {"version": "8.19.22", "nodes": 3, "replicas": 1, "memory_gib": 8, "storage_gib": 20, "kibana": False}
    found["teal:database"] |= {"maintenance_schedule": "15 4 * * 1"}
    found["teal:load"] = {"workers": 2, "image": _IMAGE, "mock_model": "mock,first=200ms"}
    return found
