"""A release, a rollback and a failure on the adapters for AWS, told once: with Pulumi's real engine (tests/engine) and without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from teal.aws.runtime import PulumiRuntime
from teal.aws.target import aws
from teal.events import Event
from teal.ports.target import Target
from teal.ports.traffic import all_to
from teal.record.lease import Superseded
from teal.record.model import COLORS, Color, ColorState
from teal.record.releases import past_releases
from teal.release.repair import find_inconsistencies
from teal.release.rollback import rollback
from teal.release.runner import ReleaseFailed, ReleaseRequest, release
from tests.services.aws_place import Deployed, KeptDeployments, Place, pushed
from tests.unit.teal.release.ports import Behaviour

# Seconds; what AWS takes is not here to be waited for.
QUICK: dict[str, Any] = {
    "analysis_seconds": 0.3,
    "hold_seconds": 0.3,
    "fence_seconds": 0.3,
    "poll_seconds": 0.05,
    "ready_seconds": 30.0,
    "snapshot_hours": 0.0,  # there is no Elasticsearch here that has any
}


@dataclass(frozen=True)
class WithoutPulumi(PulumiRuntime):
    """The adapter, but for `up` and `destroy`, which are two lines over the cluster's objects: all that it asks and says is its own."""

    objects: KeptDeployments = field(default_factory=KeptDeployments)

    def deploy(self, color: Color, state: ColorState) -> Iterator[Event]:
        self.objects.held[color] = Deployed(state.image, state.release_id, max(2, state.replica_floor))
        yield Event("deploy", "ok", color)

    def retire(self, color: Color) -> Iterator[Event]:
        self.objects.held.pop(color, None)
        yield Event("retire", "ok", color)

    def pending(self, color: Color) -> tuple[str, ...]:
        return ()


def open_target(place: Place, environ: Mapping[str, str], **rules: Any) -> Target:
    """What `teal --stack dev` opens in this shell, with short rules; without Pulumi where the place has no engine."""
    target = aws("dev", environ)
    runtime, objects = target.runtime, place.deployments
    if isinstance(objects, KeptDeployments):
        assert isinstance(runtime, PulumiRuntime)
        given = {name: getattr(runtime, name) for name in PulumiRuntime.__dataclass_fields__}
        runtime = WithoutPulumi(**given, objects=objects)
    return replace(target, rules=replace(target.rules, **(QUICK | rules)), runtime=runtime)


def assert_whole(place: Place, target: Target, active: Color, image: str) -> None:
    """One color, with everything; nothing of the other; nobody holds anything."""
    record, _ = target.store.read()
    other: Color = "green" if active == "blue" else "blue"
    assert (record.active, record.release, record.lease, record.color(other)) == (active, None, None, None)
    state = record.color(active)
    assert state is not None
    assert state.image == image
    assert place.weights() == target.traffic.read() == all_to(active)
    found = place.deployments.read()
    assert set(found) == {active}
    assert (found[active].image, found[active].release_id) == (image, state.release_id)
    assert target.runtime.readiness(active).complete
    assert (target.runtime.readiness(other).wanted, target.runtime.replicas(other)) == (0, 0)
    assert find_inconsistencies(target) == ()


def tell(place: Place, environ: Mapping[str, str]) -> None:
    """The first release, a second one, a bad one, and a rollback of a fourth."""
    images = {tag: pushed(place, tag) for tag in ("v1", "v2", "v3", "v4")}
    place.world.behaviour[images["v3"]] = Behaviour(errors=0.2)
    target = open_target(place, environ)

    list(release(target, ReleaseRequest(path=place.folder, image="v1")))
    assert_whole(place, target, "blue", images["v1"])

    events = list(release(target, ReleaseRequest(path=place.folder, image=images["v2"])))
    assert_whole(place, target, "green", images["v2"])
    shifted = [event.data["weights"]["green"] for event in events if event.step.startswith("shift") and "weights" in event.data]
    assert shifted == [5, 25, 50, 100]
    assert not place.world.documents, "the probe document was deleted"

    before = target.store.read()[0].green
    with pytest.raises(ReleaseFailed, match="errors"):
        list(release(target, ReleaseRequest(path=place.folder, image="v3")))
    assert_whole(place, target, "green", images["v2"])
    assert target.store.read()[0].green == before, "with all that it was"

    running = release(open_target(place, environ, hold_seconds=600.0), ReleaseRequest(path=place.folder, image="v4"))
    while next(running).step != "hold":
        pass
    assert place.weights() == all_to("blue")
    first = next(operator := rollback(open_target(place, environ)))
    assert (first.step, place.weights()) == ("traffic", all_to("green")), (
        "the traffic is the first thing that a rollback gives back"
    )
    list(operator)
    with pytest.raises(Superseded):
        list(running)
    assert_whole(place, target, "green", images["v2"])

    _, ended = past_releases(target.store)
    told = [(one.plan.state.label, one.outcome.phase) for one in ended if one.plan and one.outcome]
    assert told == [("v4", "Degraded"), ("v3", "Degraded"), ("v2", "Healthy"), ("v1", "Healthy")]
    kept = [row["Key"] for row in place.aws.client("s3").list_objects_v2(Bucket="teal-dev-releases")["Contents"]]
    verbs = {key.split("/")[2].partition("-")[0] for key in kept if key.startswith("evidence/")}
    assert verbs == {"release", "rollback"}
    assert {arguments[0] for arguments in place.jobs} == {"schema", "migrate", "keys", "jobs"}
    assert {color for color in COLORS if place.cluster.objects.get(f"/apis/batch/v1/namespaces/teal-{color}/jobs")} == set()
