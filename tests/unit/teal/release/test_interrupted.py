"""A release interrupted anywhere: whatever comes next (by itself, resume, abort, repair), the service ends whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from teal.errors import HeldByAnother, NeedsHuman, OperatorError
from teal.ports.traffic import all_to
from teal.record.lease import Superseded
from teal.release.plan import UnknownStep
from teal.release.repair import find_inconsistencies, repair
from teal.release.rollback import abort, rollback
from teal.release.runner import ReleaseRequest, release, resume
from tests.unit.teal.release.ports import RULES, Killed, Mode, Process, World

PLANS = {
    "first": ReleaseRequest(Path("new")),
    "next": ReleaseRequest(Path("new"), reindex=True),
}  # reindexing has every step that there is

# Every call of the longest plan, two hundred of them, is interrupted in turn: seconds each, left out by `make unit`.
EVERY_CALL = ["first", pytest.param("next", marks=pytest.mark.exhaustive)]


def world(plan: str) -> World:
    made = World()
    made.put_image("new")
    if plan != "first":
        made.begin()
    return made


def finish(process: Process, wish: ReleaseRequest) -> None:
    for _ in release(process.target, wish):
        pass


def drain(events: Iterator[Any]) -> None:
    for _ in events:
        pass


def calls_of(plan: str) -> int:
    process = world(plan).process()
    finish(process, PLANS[plan])
    return process.made


def deaths_of(plan: str, mode: Mode) -> list[int]:
    """Calls to be killed at. Between two calls that change nothing a death leaves the same, so each change stands for all that follow it."""
    process = world(plan).process()
    finish(process, PLANS[plan])
    return process.changed if mode == "kill-after" else [1, *(at + 1 for at in process.changed if at < process.made)]


def after_death(made: World) -> Process:
    """The next operator, when the lease of the dead one is over."""
    made.seconds += RULES.lease_seconds + 1
    return made.process()


def go_on(process: Process) -> None:
    """`teal resume`, where there is something to resume."""
    if process.target.store.read()[0].release is not None:
        drain(resume(process.target))


def give_up(process: Process) -> None:
    """`teal abort`; `teal rollback` when it says so; `teal resume` when the old color is already going."""
    if process.target.store.read()[0].release is None:
        return
    try:
        drain(abort(process.target))
    except NeedsHuman as said:
        follow(said, "teal resume", process)
    except OperatorError as said:
        try:
            follow(said, "teal rollback", process)
        except NeedsHuman as late:
            follow(late, "teal resume", process)


def follow(said: OperatorError, command: str, process: Process) -> None:
    """Do what an error names, which must be `command`."""
    if not said.next.startswith(command):
        raise said
    drain({"teal resume": resume, "teal rollback": rollback}[command](process.target))


def mend(process: Process) -> None:
    """`teal repair --yes`."""
    for _, work in repair(process.target):
        drain(work)
    assert not find_inconsistencies(process.target)


@pytest.mark.parametrize("plan", EVERY_CALL)
@pytest.mark.parametrize("mode", ["kill-before", "kill-after"])
@pytest.mark.parametrize("remedy", [go_on, give_up, mend])
def test_a_releaser_killed_at_any_call_leaves_what_one_command_makes_whole(plan: str, mode: Mode, remedy: Any) -> None:
    for at in deaths_of(plan, mode):
        made = world(plan)
        with pytest.raises(Killed):
            finish(made.process(at, mode), PLANS[plan])
        remedy(after_death(made))
        try:
            made.assert_whole()
        except AssertionError as error:
            raise AssertionError(f"killed at call {at} of {plan} ({made.calls})") from error


@pytest.mark.parametrize("plan", EVERY_CALL)
@pytest.mark.parametrize("mode", ["raise", "crash"])
def test_any_call_that_fails_once_ends_whole_by_itself_or_says_the_command(plan: str, mode: Mode) -> None:
    for at in range(1, calls_of(plan) + 1):
        made = world(plan)
        process = made.process(at, mode)
        try:
            finish(process, PLANS[plan])
        except NeedsHuman as said:
            if not said.next.startswith(("teal resume", "teal repair")):
                raise
            mend(made.process())  # nobody holds the lease: no waiting
        except (OperatorError, RuntimeError):
            pass
        try:
            made.assert_whole()
        except AssertionError as error:
            raise AssertionError(f"call {at} of {plan} failed ({made.calls})") from error


@pytest.mark.parametrize("plan", PLANS)
def test_ctrl_c_at_any_event_undoes_the_release_or_says_resume(plan: str) -> None:
    events = sum(1 for _ in release(world(plan).process().target, PLANS[plan]))
    for stop in range(1, events):
        made = world(plan)
        process = made.process()
        running = release(process.target, PLANS[plan])
        for _ in range(stop):
            next(running)
        try:
            running.close()
        except OperatorError as said:
            if said.next != "teal resume":
                raise
        if made.load().release is not None:
            mend(made.process())
        made.assert_whole()


@pytest.mark.exhaustive
@pytest.mark.parametrize("command", ["rollback", "resume"])
@pytest.mark.parametrize("mode", ["kill-before", "kill-after"])
def test_the_remedy_itself_may_be_killed_anywhere(command: str, mode: Mode) -> None:
    """A rollback of a release in its analysis, or its resumption, killed at each of its calls: repair makes it whole."""

    def interrupted() -> World:
        made = world("next")
        process = made.process()
        running = release(process.target, PLANS["next"])
        while next(running).step != "analyse-25":
            pass
        process.at = process.made + 1
        with pytest.raises(Killed):
            drain(running)
        made.seconds += RULES.lease_seconds + 1
        return made

    act = rollback if command == "rollback" else resume
    whole = interrupted().process()
    drain(act(whole.target))
    for at in whole.changed if mode == "kill-after" else [1, *(at + 1 for at in whole.changed if at < whole.made)]:
        made = interrupted()
        with pytest.raises(Killed):
            drain(act(made.process(at, mode).target))
        mend(after_death(made))
        made.assert_whole()


def test_resume_and_repair_wait_for_a_living_releaser() -> None:
    made = world("next")
    running = release(made.process().target, PLANS["next"])
    while next(running).step != "analyse-5":
        pass
    for refused in (
        lambda: drain(resume(made.process().target)),
        lambda: find_inconsistencies(made.process().target),
        lambda: finish(made.process(), PLANS["next"]),
    ):
        with pytest.raises(HeldByAnother) as said:
            refused()
        assert said.value.exit_code == 3
    drain(running)
    made.assert_whole()


def test_a_releaser_whose_release_was_resumed_by_another_stops_and_touches_nothing() -> None:
    made = world("next")
    slept = release(made.process().target, PLANS["next"])
    while next(slept).step != "analyse-25":
        pass
    go_on(after_death(made))
    made.assert_whole()
    before = (made.weights, made.record, list(made.calls))
    with pytest.raises(Superseded):
        drain(slept)
    assert (made.weights, made.record, made.calls) == before


def renamed(made: World, name: str, to: str) -> None:
    """The stored plan of the release under way, as another version of Teal writes it."""
    underway = made.load().release
    assert underway is not None
    key = f"releases/{underway.id}.json"
    plan = json.loads(made.objects[key])
    for step in plan["steps"]:
        step["action"] = to if step["action"] == name else step["action"]
    made.objects[key] = json.dumps(plan).encode()


def died_at(made: World, step: str) -> None:
    process = made.process()
    running = release(process.target, PLANS["next"])
    made.kept.append(running)
    while next(running).step != step:
        pass
    made.seconds += RULES.lease_seconds + 1


def test_a_plan_with_a_step_that_this_version_does_not_know_is_refused_before_anything_is_done() -> None:
    made = world("next")
    died_at(made, "analyse-25")
    renamed(made, "hold", "soak")
    before = made.record
    with pytest.raises(UnknownStep, match="'soak'"):
        drain(resume(made.process().target))
    assert made.record == before


def test_a_rollback_gives_the_traffic_back_whatever_a_plan_holds() -> None:
    made = world("next")
    died_at(made, "analyse-25")
    renamed(made, "warm", "pour")
    with pytest.raises(UnknownStep, match="'pour'"):
        drain(rollback(made.process().target))
    assert made.weights == all_to("blue")


def test_a_plan_of_before_a_step_was_renamed_is_gone_on_with() -> None:
    made = world("next")
    died_at(made, "analyse-25")
    renamed(made, "job-transfer", "re-home")
    drain(resume(made.process().target))
    made.assert_whole()
    assert made.load().active == "green"
