"""Going back to a release whose color is gone: what it promises, and what it refuses in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from teal import cli, errors
from teal.errors import BadInput, HeldByAnother
from teal.ports.traffic import all_to, weights_after_shift
from teal.record.releases import past_releases
from teal.release import commands
from teal.release.freeze import freeze
from teal.release.return_to import rollback_to
from teal.release.runner import ReleaseFailed, ReleaseRequest, release
from tests.unit.teal.release.ports import Behaviour, World


def released(world: World, image: str, *, reindex: bool = False) -> str:
    """A finished release of that image, and its id."""
    list(release(world.process().target, ReleaseRequest(Path(), image=image, reindex=reindex)))
    return world.load().history[0]


@pytest.fixture
def two(world: World) -> tuple[str, str]:
    """Two releases one after another: the second is active, the first is gone."""
    world.put_image("first")
    return released(world, "first"), released(world, "new")


def test_going_back_releases_the_recorded_unit_again_step_by_step(world: World, two: tuple[str, str]) -> None:
    first, _ = two
    world.shares_seen.clear()
    told = list(rollback_to(world.process().target, first))
    world.assert_whole()
    assert "is released again, step by step" in told[0].detail
    assert world.shares_seen == [weights_after_shift("green", percent) for percent in (5, 25, 50, 100)]
    state = world.load().active_state
    assert state is not None
    assert (state.image, state.index) == ("first", "teal")
    assert state.release_id not in two


def test_going_back_brings_the_recorded_configuration_not_todays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.unit.teal.release.ports import Registry

    world.put_image("first")
    monkeypatch.setattr(Registry, "config", lambda _self: {"TEAL_SEARCH": "embedded", "TEAL_TOP_K": "3"})
    first = released(world, "first")
    monkeypatch.setattr(Registry, "config", lambda _self: {"TEAL_SEARCH": "embedded", "TEAL_TOP_K": "9"})
    released(world, "new")
    told = list(rollback_to(world.process().target, first))
    state = world.load().active_state
    assert state is not None
    assert state.config["TEAL_TOP_K"] == "3"
    assert "TEAL_TOP_K 9 -> 3" in next(event.detail for event in told if event.step == "source")


def test_the_color_that_is_still_held_is_gone_back_to_at_once(world: World) -> None:
    world.put_image("first")
    first = released(world, "first")
    running = release(world.process().target, ReleaseRequest(Path(), image="new"))
    world.kept.append(running)
    while next(running).step != "hold":
        pass
    told = list(rollback_to(world.process().target, first))
    assert (told[0].step, told[0].detail) == ("traffic", "all requests to green")
    world.assert_whole()
    assert world.load().history[1] == first, "nothing was released again"


def test_a_version_that_became_bad_is_stopped_by_the_gates_on_its_way_back_too(world: World, two: tuple[str, str]) -> None:
    world.behaviour["first"] = Behaviour(errors=0.5)
    with pytest.raises(ReleaseFailed):
        list(rollback_to(world.process().target, two[0]))
    world.assert_whole()
    state = world.load().active_state
    assert state is not None
    assert state.release_id == two[1]


def test_a_freeze_stops_releases_and_lets_one_go_back(world: World, two: tuple[str, str]) -> None:
    list(freeze(world.process().target, "the fair is on"))
    with pytest.raises(HeldByAnother):
        released(world, "new")
    told = list(rollback_to(world.process().target, two[0]))
    assert "the fair is on" in told[1].detail
    world.assert_whole()
    assert world.load().freeze is not None


def untouched(world: World, id: str, match: str) -> None:
    before = (world.record, world.weights, dict(world.running))
    with pytest.raises(BadInput, match=match) as said:
        list(rollback_to(world.process().target, id))
    assert said.value.next
    assert (world.record, world.weights, dict(world.running)) == before


def test_a_release_that_cannot_be_gone_back_to_is_refused_with_the_reason(world: World, two: tuple[str, str]) -> None:
    first, second = two
    untouched(world, second, "it is the active one")
    untouched(world, "r20260101-000000-0000", "nothing is kept of it")
    world.put_image("bad", Behaviour(errors=0.5))
    with pytest.raises(ReleaseFailed):
        released(world, "bad")
    untouched(world, world.load().history[0], "it never served everybody: errors")
    image = world.images.pop("first")
    untouched(world, first, "its image is not kept any more")
    world.images["first"] = replace(image, schema_max="0001")
    world.revision = "0002"
    untouched(world, first, "its image serves schema 0001 to 0001, and the database is at 0002")


def test_an_index_or_an_engine_that_nobody_kept_up_refuses_the_way_back(world: World, two: tuple[str, str]) -> None:
    kept = world.objects[f"releases/{two[0]}.json"]
    plan = json.loads(kept)
    plan["state"]["config"]["TEAL_SEARCH"] = "elasticsearch"
    world.objects[f"releases/{two[0]}.json"] = json.dumps(plan).encode()
    untouched(world, two[0], "it read another search engine")
    world.objects[f"releases/{two[0]}.json"] = kept
    released(world, "first", reindex=True)
    untouched(world, two[0], r"it read the search index teal, which ended when teal-r\S+ took its place")


def test_the_command_takes_a_color_or_a_release(
    world: World, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "open_target", lambda _stack: world.process().target)
    assert cli.run(["rollback", "--to", "purple", "--json"]) == errors.BAD_INPUT
    assert cli.run(["rollback", "--to", "blue", "--json"]) == errors.BAD_INPUT  # nothing is under way
    assert cli.run(["rollback", "--to", two[0], "--json"]) == errors.DONE
    capsys.readouterr()
    world.assert_whole()
    assert world.weights == all_to("green")
    _, found = past_releases(world.process().target.store)
    assert found[0].plan is not None
    assert found[0].plan.state.image == "first"
