"""A color's program through Pulumi's real engine and its real Kubernetes provider, with a release's rights. One story, in this order.

The server checks every object, and the platform's rights and admission policies are in force; nothing runs in the pods (pods.py).
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from contract.names import DEPLOYMENT, NAMESPACES, WORKERS
from infra.evaluation.evaluate import ROOT
from teal.aws.runtime import PulumiRuntime, ServiceProgram
from tests.cluster.conftest import wait_for_policies
from tests.cluster.objects import custom_resource_definitions, objects
from tests.engine import inventory, kubernetes
from tests.engine.command import put_on_path
from tests.engine.kubernetes import RELEASE_TOKEN, WHO, Kubernetes
from tests.engine.provider import Cloud, serve
from tests.engine.workspace import Workspace, kill
from tests.unit.infra.conftest import evaluate
from tests.unit.infra.service_program import record

PLATFORM: Final = "dev"
STACK: Final = "dev-blue"
BLUE: Final = NAMESPACES["blue"]
PROGRAM: Final = ROOT / "infra" / "service"

pytestmark = pytest.mark.timeout(900)  # the first test builds what is missing


@dataclass
class Color:
    """The color's stack, and the server as it was before it."""

    kubernetes: Kubernetes
    workspace: Workspace
    before: Mapping[str, Any]

    def configure(self, settings: Mapping[str, Any] | None = None, **changed: Any) -> None:
        self.workspace.configure(STACK, config(self.kubernetes, settings, **changed))

    def made(self) -> dict[str, dict[str, Any]]:
        return inventory.made(self.kubernetes.server, self.before)


def config(cluster: Kubernetes, defaults: Mapping[str, Any] | None = None, **changed: Any) -> dict[str, str]:
    """What `teal release` writes: the record's entry, and the platform's outputs."""
    outputs = dict(evaluate("platform", PLATFORM).outputs)
    outputs["cluster"] = {**outputs["cluster"], "endpoint": cluster.endpoint, "ca_data": cluster.ca_data}
    outputs["service_defaults"] = {**outputs["service_defaults"], **(defaults or {})}
    return {
        "teal-service:record": json.dumps(record("blue", **{"image": image("ab"), **changed})),
        "teal-service:platform": json.dumps(outputs),
    }


def image(digits: str) -> str:
    """Of the only repository that the platform's admission policy lets in."""
    return f"{evaluate('platform', PLATFORM).outputs['repository_url']}@sha256:{digits * 32}"


@pytest.fixture(scope="module")
def color(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Color]:
    """A platform's namespaces, rights and rules are there, and no color."""
    folder = tmp_path_factory.mktemp("kubernetes")
    with pytest.MonkeyPatch.context() as shell, serve(Cloud(), kubernetes.STOOD_IN) as providers:
        put_on_path(shell, tmp_path_factory.getbasetemp() / "pulumi")
        with kubernetes.start(folder, shell) as started:
            started.server.define(custom_resource_definitions())
            for document in objects("platform", PLATFORM):
                started.server.apply(document, "administrator")
            wait_for_policies(started.server)
            made = workspace(tmp_path_factory.mktemp("states"), providers, started)
            yield Color(started, made, inventory.objects(started.server))


def workspace(folder: Path, providers: str, started: Kubernetes) -> Workspace:
    made = Workspace.make(folder / STACK, "teal-service", PROGRAM, providers)
    made = dataclasses.replace(made, more={WHO: RELEASE_TOKEN})
    made.stack(STACK, config(started))
    return made


def test_a_color_is_made_with_a_release_s_rights(color: Color) -> None:
    promised = color.workspace.preview(STACK)["changeSummary"]
    assert set(promised) == {"create"}
    assert color.workspace.up(STACK) == promised
    server = color.kubernetes.server
    deployment = server.ask("GET", f"/apis/apps/v1/namespaces/{BLUE}/deployments/{DEPLOYMENT}")
    assert deployment["status"]["availableReplicas"] == deployment["spec"]["replicas"]
    assert server.ask("GET", f"/apis/apps/v1/namespaces/{BLUE}/statefulsets/{WORKERS}")["status"]["readyReplicas"] == 1


def test_the_same_record_again_changes_nothing(color: Color) -> None:
    before = inventory.generations(color.made())
    assert len(before) == 9
    assert set(color.workspace.up(STACK)) == {"same"}
    assert inventory.generations(color.made()) == before


def test_a_refresh_of_what_nobody_touched_finds_nothing(color: Color) -> None:
    """Though the server added its defaults, and its controllers their numbers and their status."""
    color.workspace.must("refresh", "--stack", STACK, "--yes", "--skip-preview")
    assert set(color.workspace.changes(STACK)) == {"same"}
    before = inventory.generations(color.made())
    assert set(color.workspace.up(STACK)) == {"same"}
    assert inventory.generations(color.made()) == before


def test_a_release_changes_image_and_settings_in_place(color: Color) -> None:
    """Another image, other variables, other resources and bounds: no object is another one afterwards, and the next `up` does nothing."""
    before = inventory.identities(color.made())
    changed = {"release_id": "r-2", "image": image("cd"), "replica_floor": 3, "secret_versions": {"DATABASE_PASSWORD": "v2"}}
    settings = {"cpu": "250m", "memory_mib": 1536, "max_replicas": 9, "target_cpu_percent": 50, "worker_min": 2, "worker_max": 4}
    color.configure(settings, **changed)
    counts = color.workspace.up(STACK)
    assert set(counts) == {"same", "update"}
    assert inventory.identities(color.made()) == before
    server = color.kubernetes.server
    deployment = server.ask("GET", f"/apis/apps/v1/namespaces/{BLUE}/deployments/{DEPLOYMENT}")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image("cd")
    assert container["resources"]["requests"]["cpu"] == "250m"
    server.wait(lambda: replicas(color) == 3, "the autoscaler's new least number")
    assert set(color.workspace.up(STACK, "--refresh")) == {"same"}


def test_a_minimum_that_a_release_has_changed_is_taken_back_by_the_next_up(color: Color) -> None:
    """`teal` owns that field then, and server-side apply would refuse another owner's value."""
    server = color.kubernetes.server
    path = f"/apis/autoscaling/v2/namespaces/{BLUE}/horizontalpodautoscalers/{DEPLOYMENT}"
    merge = {"Content-Type": "application/merge-patch+json"}
    server.ask("PATCH", path, {"spec": {"minReplicas": 1}}, params={"fieldManager": "teal"}, headers=merge)
    # Fewer than there are: the autoscaler, which knows no load here, changes nothing.
    color.configure(release_id="r-2", image=image("cd"), replica_floor=2)
    assert set(color.workspace.up(STACK)) == {"same", "update"}
    assert server.ask("GET", path)["spec"]["minReplicas"] == 2
    assert set(color.workspace.up(STACK)) == {"same"}


def test_workers_that_were_scaled_to_none_are_updated_without_waiting_for_one(color: Color) -> None:
    """KEDA does so while nothing waits; the next release must neither start one nor wait for one."""
    path = f"/apis/apps/v1/namespaces/{BLUE}/statefulsets/{WORKERS}/scale"
    server = color.kubernetes.server
    server.ask("PATCH", path, {"spec": {"replicas": 0}}, headers={"Content-Type": "application/merge-patch+json"})
    color.configure(release_id="r-3", image=image("ef"))
    assert set(color.workspace.up(STACK)) == {"same", "update"}
    assert server.ask("GET", path)["spec"].get("replicas", 0) == 0


def test_after_a_lost_state_every_object_is_adopted(color: Color, tmp_path_factory: pytest.TempPathFactory) -> None:
    before, held = inventory.identities(color.made()), inventory.generations(color.made())
    empty = workspace(tmp_path_factory.mktemp("lost"), color.workspace.providers, color.kubernetes)
    color.workspace = empty
    color.configure(release_id="r-3", image=image("ef"))
    assert set(empty.up(STACK)) == {"create"}
    assert inventory.identities(color.made()) == before
    assert inventory.generations(color.made()) == held
    assert set(empty.up(STACK)) == {"same"}


def test_a_color_that_is_retired_leaves_nothing(color: Color) -> None:
    color.workspace.must("destroy", "--stack", STACK, "--yes", "--skip-preview")
    assert inventory.left(color.kubernetes.server, color.before) == []


def test_an_up_that_was_killed_is_repaired_and_finished(color: Color) -> None:
    """The machine of the command dies while it waits for the pods; `teal repair` gives the stack free, and the next `up` finds its objects."""
    server, space = color.kubernetes.server, color.workspace
    with color.kubernetes.pods.waiting():
        running = space.start("up", "--stack", STACK, "--yes", "--skip-preview")
        server.wait(lambda: replicas(color) is not None, "the Deployment")
        kill(running)
    runtime = repairing(color)
    left = runtime.pending("blue")
    assert any(line.startswith("locked by") for line in left)
    assert any("creating" in line for line in left)
    list(runtime.mend("blue"))
    assert runtime.pending("blue") == ()
    before = inventory.identities(color.made())
    assert "create" in space.up(STACK)
    assert before.items() <= inventory.identities(color.made()).items()
    assert set(space.up(STACK)) == {"same"}
    space.must("destroy", "--stack", STACK, "--yes", "--skip-preview")
    assert inventory.left(server, color.before) == []


def test_what_an_up_that_was_killed_had_begun_is_ended_by_a_repair_that_undoes_the_release(color: Color) -> None:
    """The Deployment was made, and Pulumi has no id of it yet: nobody else would delete it, and its pods would go on."""
    server = color.kubernetes.server
    with color.kubernetes.pods.waiting():
        running = color.workspace.start("up", "--stack", STACK, "--yes", "--skip-preview")
        server.wait(lambda: replicas(color) is not None, "the Deployment")
        kill(running)
    runtime = repairing(color)
    list(runtime.mend("blue"))
    assert runtime.pending("blue") == ()
    list(runtime.retire("blue"))
    assert inventory.left(server, color.before) == []


def replicas(color: Color) -> int | None:
    found = color.kubernetes.server.ask("GET", f"/apis/apps/v1/namespaces/{BLUE}/deployments")["items"]
    return int(found[0]["spec"]["replicas"]) if found else None


def repairing(color: Color) -> PulumiRuntime:
    """What `teal repair` has of this color: it asks only Pulumi here."""
    space = color.workspace
    service = ServiceProgram(
        PROGRAM, space.folder.parent, Path(sys.prefix), env={**space.environment, "PATH": os.environ["PATH"]}
    )
    nothing: Any = None
    return PulumiRuntime(PLATFORM, service, "", nothing, nothing, {}, {})
