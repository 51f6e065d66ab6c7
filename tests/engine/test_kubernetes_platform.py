"""The platform's program through Pulumi's real engine and its real Kubernetes provider, Helm in it: the first `up`.

A real API server and controller manager take every object; nothing runs in the pods (pods.py). AWS stands in (provider.py). Helm reads its charts
by the addresses that the program names, which a tunnel answers (charts.py): ECK's own chart, and one of the tests' own for KEDA's.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from infra.evaluation.evaluate import ROOT, stack_values
from infra.platform.cluster import autoscaling
from infra.platform.search import operator
from tests.cluster.objects import custom_resource_definitions
from tests.engine import charts, kubernetes, search_ca, tunnel
from tests.engine.command import put_on_path
from tests.engine.kubernetes import Kubernetes
from tests.engine.provider import Cloud, serve
from tests.engine.workspace import Workspace

STACK: Final = "dev"
RELEASES: Final = {autoscaling.NAMESPACE: "keda", operator.NAMESPACE: "elastic-operator"}  # by namespace, their names for Helm
WITH_CHARTS: Final = ("elastic.co", "keda.sh")  # the definitions that charts bring

pytestmark = pytest.mark.timeout(900)  # the first test builds what is missing


@dataclass
class Platform:
    """The stack, and the cluster that it is for."""

    kubernetes: Kubernetes
    workspace: Workspace

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
            yield Platform(started, workspace(tmp_path_factory.mktemp("states"), providers))


def workspace(folder: Path, providers: str) -> Workspace:
    made = Workspace.make(folder / STACK, "teal", ROOT / "infra", providers)
    made.stack(STACK, stack_values(STACK))
    return made


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
