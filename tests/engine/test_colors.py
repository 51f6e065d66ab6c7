"""A color through the real engine, as `teal release` drives it: made, made again, ended, mended.

One story, in this order. That `pulumi up` of the platform leaves a release's weights alone is in test_platform.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest

from infra.evaluation.evaluate import ROOT
from teal.aws import runtime as pulumi
from teal.aws.jobs import JobSettings
from teal.aws.pulumi import operation
from teal.aws.runtime import PulumiOperationFailed, PulumiRuntime, ServiceProgram
from teal.errors import HeldByAnother
from teal.events import Event
from teal.record.model import Color, ColorState
from tests.engine.conftest import Engine
from tests.engine.workspace import Workspace
from tests.services import aws_server
from tests.services.cluster_server import ClusterServer
from tests.unit.infra.service_program import platform_outputs, record

STACK = "dev"


def state(release_id: str = "r-1", **changed: object) -> ColorState:
    given = {name: value for name, value in record(release_id=release_id, replica_floor=3).items() if name != "color"}
    return ColorState.model_validate({**given, **changed})


@pytest.fixture(scope="module")
def runtime(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PulumiRuntime]:
    """The adapter on the stand-in's cloud, with a state folder of its own."""
    workspace: Workspace = engine.open("teal-service", ROOT / "infra" / "service")
    service = ServiceProgram(
        program=ROOT / "infra" / "service",
        home=tmp_path_factory.mktemp("home"),
        virtualenv=Path(sys.prefix),
        env=workspace.environment,
    )
    settings: dict[Color, JobSettings] = {
        color: JobSettings(f"teal-{color}", STACK, aws_server.REGION, (), "250m", 512) for color in ("blue", "green")
    }
    with aws_server.start() as aws:
        groups: dict[Color, str] = dict(platform_outputs(STACK)["target_group_arns"])
        cluster = ClusterServer().cluster()
        yield PulumiRuntime(STACK, service, json.dumps(platform_outputs(STACK)), cluster, aws.client("elbv2"), groups, settings)


def ended(events: Iterator[Event]) -> Event:
    return list(events)[-1]


def in_cloud(engine: Engine, namespace: str) -> set[str]:
    return {
        thing.type for thing in engine.cloud.things.values() if thing.inputs.get("metadata", {}).get("namespace") == namespace
    }


def test_a_color_is_made_and_says_each_resource_as_it_is_done(engine: Engine, runtime: PulumiRuntime) -> None:
    events = list(runtime.deploy("blue", state()))
    assert (events[0].state, events[-1].state) == ("start", "ok")
    assert any("teal" in event.detail and event.state == "progress" for event in events)
    assert "kubernetes:apps/v1:Deployment" in in_cloud(engine, "teal-blue")


def test_the_same_state_again_changes_nothing(engine: Engine, runtime: PulumiRuntime) -> None:
    before = len(engine.cloud.done)
    assert ended(runtime.deploy("blue", state())).data["changed"] == 0
    assert len(engine.cloud.done) == before


def test_another_release_of_one_color_leaves_the_other_color_as_it_is(engine: Engine, runtime: PulumiRuntime) -> None:
    before = {key: thing.inputs for key, thing in engine.cloud.things.items() if "dev-blue" in key[0]}
    ended(runtime.deploy("green", state("r-2")))
    assert in_cloud(engine, "teal-green") == in_cloud(engine, "teal-blue")
    assert {key: thing.inputs for key, thing in engine.cloud.things.items() if "dev-blue" in key[0]} == before


def test_a_retired_color_is_gone_and_may_be_retired_again(engine: Engine, runtime: PulumiRuntime) -> None:
    began = len(engine.cloud.done)
    ended(runtime.retire("green"))
    assert in_cloud(engine, "teal-green") == set()
    done = [kind for verb, kind, _ in engine.cloud.done[began:] if verb == "delete"]
    assert done.index("kubernetes:apps/v1:Deployment") < done.index("kubernetes:eks.amazonaws.com/v1:TargetGroupBinding")
    assert ended(runtime.retire("green")).data["changed"] == 0


def test_a_color_that_never_was_has_nothing_to_retire_or_to_mend(runtime: PulumiRuntime) -> None:
    never = replace(runtime, stack="never")
    assert (list(never.retire("blue")), never.pending("blue"), list(never.mend("blue"))) == ([], (), [])


def test_what_the_program_refuses_is_said_in_its_words_and_the_color_can_be_made_after(runtime: PulumiRuntime) -> None:
    with pytest.raises(PulumiOperationFailed, match="image") as caught:
        ended(runtime.deploy("green", state("r-3", image="no-digest")))
    assert caught.value.next == "teal repair"
    assert ended(runtime.deploy("green", state("r-3"))).state == "ok"


def test_an_operation_that_was_cut_off_is_found_and_mended(runtime: PulumiRuntime) -> None:
    assert runtime.pending("green") == ()
    _cut_off(_backend(runtime), f"{STACK}-green")
    with pytest.raises(HeldByAnother) as caught:
        ended(runtime.deploy("green", state("r-4")))
    assert caught.value.next == "teal repair"
    assert runtime.pending("green") == ("locked by releaser@gone (pid 1) since 2026-11-22T00:00:00Z", "creating web")
    ended(runtime.mend("green"))
    assert runtime.pending("green") == ()
    assert ended(runtime.deploy("green", state("r-4"))).state == "ok"


def test_a_releaser_that_stops_listening_ends_its_operation_and_gives_the_lock_back(
    engine: Engine, runtime: PulumiRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback in the middle of a deployment: nobody else could end the color before its `up` is over."""
    monkeypatch.setattr(operation, "TELL_SECONDS", 0.2)
    before = len(engine.cloud.done)
    events = runtime.deploy("green", state("r-5"))
    engine.cloud.lock.acquire()  # the cloud takes its time
    while not any("updating" in each for each in runtime.pending("green")):
        next(events)
    Timer(1.0, engine.cloud.lock.release).start()
    events.close()  # type: ignore[attr-defined]
    assert runtime.pending("green") == ()
    done = [verb for verb, _, _ in engine.cloud.done[before:]]
    assert 0 < len(done) < 4, "what was in flight was finished, and nothing more was begun"
    assert ended(runtime.deploy("green", state("r-5"))).state == "ok"


def test_ending_a_color_waits_for_the_operation_that_it_undoes(runtime: PulumiRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "AGAIN_SECONDS", 0.2)
    lock = _locked(_backend(runtime), f"{STACK}-green")
    events = runtime.retire("green")
    while next(events).state != "progress":
        pass
    lock.unlink()
    assert ended(events).state == "ok"
    _locked(_backend(runtime), f"{STACK}-green")
    with pytest.raises(HeldByAnother):
        list(replace(runtime, wait_seconds=0.0).retire("green"))
    ended(runtime.mend("green"))
    assert runtime.pending("green") == ()


def _backend(runtime: PulumiRuntime) -> Path:
    return Path(runtime.service.env["PULUMI_BACKEND_URL"].removeprefix("file://"))


def _cut_off(backend: Path, stack: str) -> None:
    """What a killed releaser leaves in Pulumi's state: a lock nobody holds, and a creation of which nobody knows the end."""
    (found,) = backend.glob(f".pulumi/stacks/*/{stack}.json")
    document = json.loads(found.read_text())
    latest = document["checkpoint"]["latest"]
    resource = next(each for each in latest["resources"] if each["type"] == "kubernetes:autoscaling/v2:HorizontalPodAutoscaler")
    latest["pending_operations"] = [{"resource": {**resource, "id": ""}, "type": "creating"}]
    found.write_text(json.dumps(document))
    _locked(backend, stack)


def _locked(backend: Path, stack: str) -> Path:
    lock = backend / ".pulumi" / "locks" / "organization" / "teal-service" / stack / "00000000-0000-0000-0000-000000000000.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(json.dumps({"pid": 1, "username": "releaser", "hostname": "gone", "timestamp": "2026-11-22T00:00:00Z"}))
    return lock
