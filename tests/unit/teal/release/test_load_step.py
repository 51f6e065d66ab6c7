"""A release that is asked to carry load first: nobody is served by a color that breached a threshold, or of which too little is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from teal.errors import NeedsHuman, OperatorError
from teal.events import Event
from teal.load import run as runs
from teal.load.place import LoadTarget
from teal.load.run import LoadTest, ThresholdBreached
from teal.ports.traffic import all_to
from teal.release.runner import ReleaseFailed, plan_steps, release
from tests.unit.teal.release.ports import RULES, Process, World
from tests.unit.teal.release.test_release import NEW

RULES_WITH_LOAD = replace(RULES, load="smoke")


@pytest.fixture
def process() -> Process:
    world = World()
    world.begin()
    world.put_image("new")
    return world.process(rules=RULES_WITH_LOAD, probe_headers={"Authorization": "Bearer k"})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the load test was asked for; `ends` is raised at its end."""
    found: dict[str, Any] = {"ends": None}

    def run(place: LoadTarget, test: LoadTest) -> Iterator[Event]:
        found.update(place=place, test=test)
        yield Event("running", "progress", "3 users", 1, 2)
        if found["ends"]:
            raise found["ends"]

    monkeypatch.setattr(runs, "run_load_test", run)
    monkeypatch.setattr(runs, "require_installed", lambda: None)
    return found


def test_load_comes_before_the_first_user_and_reaches_the_new_color_alone(process: Process, asked: dict[str, Any]) -> None:
    names = [step.name for step in plan_steps(process.target, NEW)]
    assert names.index("replay") + 1 == names.index("load") == names.index("shift-5") - 1
    events = list(release(process.target, NEW))
    assert any(event.step == "load" and event.detail == "3 users" for event in events)
    assert process.world.load().active == "green"
    assert asked["place"].headers == process.target.traffic.entry("green").headers
    assert asked["test"].shape == "smoke"


@pytest.mark.parametrize(
    ("ends", "error"),
    [(ThresholdBreached("search: at most 5 % failed", where="p", next="n"), ReleaseFailed), (NeedsHuman("Too few samples", where="p", next="n"), NeedsHuman)],
)  # fmt: skip
def test_a_color_that_does_not_carry_it_meets_nobody(
    process: Process, asked: dict[str, Any], ends: OperatorError, error: type[OperatorError]
) -> None:
    asked["ends"] = ends
    with pytest.raises(error, match=ends.what):
        list(release(process.target, NEW))
    process.world.assert_whole()
    assert process.world.load().active == "blue"
    assert process.world.shares_seen in ([], [all_to("blue")])
    assert process.world.load().green is None


def test_no_load_unless_asked_for(asked: dict[str, Any]) -> None:
    world = World()
    world.begin()
    world.put_image("new")
    assert "load" not in [step.name for step in plan_steps(world.process().target, NEW)]
