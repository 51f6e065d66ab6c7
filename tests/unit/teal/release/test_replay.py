"""Recorded queries of users are sent to both colors, and a version that answers them otherwise meets no user."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from teal.errors import AdminFailed
from teal.events import Event
from teal.release.replay import Colors, recorded_queries, replayed
from teal.release.runner import ReleaseFailed, plan_steps, release
from tests.unit.teal.release.ports import RULES, Behaviour, World
from tests.unit.teal.release.test_release import NEW, run

TEXTS = {"TEAL_QUERY_SAMPLE": "texts"}
EVERY_QUERY = replace(RULES, replay_seconds=1e9)


def told(events: list[Event]) -> list[str]:
    return [event.detail for event in events if event.step.startswith("replay")]


def test_without_texts_one_line_says_that_it_is_off_and_how_to_turn_it_on(world: World) -> None:
    events = run(world.process())
    assert any("off: no texts are kept; `TEAL_QUERY_SAMPLE=texts teal release`" in said for said in told(events)), told(events)


def test_a_version_that_answers_the_same_is_released_with_the_table_in_its_evidence(world: World) -> None:
    world.sampled = 50
    events = run(world.process(rules=EVERY_QUERY))
    assert world.load().active == "green"
    (table,) = [event.data["replay"] for event in events if "replay" in event.data]
    assert (table["queries"], table["new"], table["active"]) == (50, "green", "blue")
    assert {row["what"]: (row["new"], row["active"]) for row in table["rows"]}["other hits"] == ("0 of 50", "0 of 50")
    page = next(body.decode() for key, body in world.objects.items() if key.endswith(".html"))
    assert "50 recorded queries of users, sent to both colors" in page


def test_a_version_that_finds_other_things_meets_no_user(world: World) -> None:
    world.sampled = 50
    world.put_image("new", Behaviour(finds=("e1", "e2")))
    with pytest.raises(ReleaseFailed, match="other hits: 50 of 50"):
        run(world.process(rules=EVERY_QUERY))
    world.assert_whole()
    assert world.load().active == "blue"
    assert all(weights.green == 0 for weights in world.shares_seen)


def test_a_release_that_answers_otherwise_on_purpose_says_so_and_goes_on(world: World) -> None:
    world.sampled = 50
    world.put_image("new", Behaviour(finds=("e1", "e2")))
    rules = replace(EVERY_QUERY, accept_different_answers=True)
    process = world.process(rules=rules)
    assert "replay-report" in [step.name for step in plan_steps(process.target, NEW)]
    events = list(release(process.target, NEW))
    assert world.load().active == "green"
    assert any(said.startswith("accepted: other hits: 50 of 50") for said in told(events))


def test_a_replay_is_bounded_in_count_rate_and_time(world: World) -> None:
    world.sampled = 10_000
    target = world.process(rules=replace(RULES, replay_queries=40, replay_per_second=10.0, replay_seconds=5.9)).target
    world.running["green"] = world.running["blue"]
    queries, said = recorded_queries(
        target, lambda *arguments: target.runtime.admin(world.running["blue"], "blue", *arguments), TEXTS
    )
    assert (len(queries), said) == (40, "40 of 99 recorded queries")
    began = world.seconds
    assert len(list(replayed(target, Colors("blue", "green"), queries))) == 20  # three requests each, ten a second
    assert world.seconds - began == pytest.approx(6.0, abs=0.31)


def test_a_version_that_has_no_such_command_or_cannot_read_its_sample_is_not_undone_for_it(world: World) -> None:
    def admin(*_: str) -> list[dict[str, Any]]:
        raise AdminFailed("queries sample", code="usage", detail="invalid choice: 'queries'", action="", bad_input=True)

    queries, said = recorded_queries(world.process().target, admin, TEXTS)
    assert queries == ()
    assert said == "off: the sample of queries cannot be read: invalid choice: 'queries'"


def test_a_first_release_has_nothing_to_compare_with() -> None:
    world = World()
    world.put_image("new")
    assert not any(step.name.startswith("replay") for step in plan_steps(world.process().target, NEW))
