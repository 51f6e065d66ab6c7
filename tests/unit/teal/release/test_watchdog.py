"""A release whose releaser does not look after its users: the watchdog gives them back, says why, and ends what nobody takes up."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.watchdog import ABANDONED_SECONDS, END_SECONDS, NOBODY, UserOutcomes, reason_to_return, users_fail_more
from teal.errors import OperatorError
from teal.ports.traffic import all_to, weights_after_shift
from teal.record.lease import Superseded
from teal.record.releases import past_releases
from teal.release.rollback import abort
from teal.release.runner import ReleaseRequest, release
from teal.release.watchdog import LOOK_SECONDS, Watchdog
from tests.unit.teal.release.ports import RULES, Behaviour, Killed, Meter, World
from tests.unit.teal.release.test_interrupted import EVERY_CALL, PLANS, deaths_of, finish
from tests.unit.teal.release.test_interrupted import world as world_of
from tests.unit.teal.release.test_release import until

NEW = ReleaseRequest(Path("new"))


def watch(world: World, dog: Watchdog, seconds: float) -> list[str]:
    """What it does in that time; it looks as often as it does on a laptop, but no faster than once a second here."""
    said = []
    end = world.seconds + seconds
    while world.seconds < end:
        said += [event.detail for event in dog.look()]
        world.pass_time(max(1.0, LOOK_SECONDS))
    return said


def killed_at(world: World, step: str) -> None:
    """A releaser that died at the first sign of that step."""
    process = world.process()
    until(process, step)
    process.dead = True


def watchdog(world: World) -> Watchdog:
    return Watchdog(world.process().target)


def test_traffic_of_a_dead_releaser_goes_back_as_soon_as_its_lease_is_over_and_the_record_says_why(world: World) -> None:
    killed_at(world, "analyse-25")
    assert world.weights == weights_after_shift("green", 25)
    dog = watchdog(world)
    watch(world, dog, RULES.lease_seconds / 4)
    assert world.weights == weights_after_shift("green", 25)  # it may be about to give a sign of life
    watch(world, dog, RULES.lease_seconds)
    assert world.weights == all_to("blue")
    record = world.load()
    assert record.release is not None
    assert (record.release.phase, record.lease) == ("RollingBack", None)
    assert "gave no sign of life while green had 25 % of the requests" in record.release.note


def test_what_nobody_takes_up_is_undone_to_its_end_and_the_history_says_that_it_was_the_watchdog(world: World) -> None:
    killed_at(world, "analyse-25")
    watch(world, watchdog(world), RULES.lease_seconds + END_SECONDS + 30)
    world.assert_whole()
    _, found = past_releases(world.process().target.store)
    assert found[0].outcome is not None
    assert found[0].outcome.reason.startswith("watchdog: the releaser of")


def test_a_person_may_undo_it_first(world: World) -> None:
    killed_at(world, "analyse-25")
    dog = watchdog(world)
    watch(world, dog, RULES.lease_seconds + 5)
    list(abort(world.process().target))
    world.assert_whole()
    assert watch(world, dog, 200) == []


def test_a_releaser_that_only_slept_stops_when_it_wakes(world: World) -> None:
    process = world.process()
    running = until(process, "analyse-25")
    watch(world, watchdog(world), RULES.lease_seconds + 5)
    with pytest.raises(Superseded):
        list(running)  # type: ignore[call-overload]
    assert world.weights == all_to("blue")


def test_a_living_releaser_is_left_alone(world: World) -> None:
    dog = watchdog(world)
    world.on_sleep.append(lambda: list(dog.look()))
    list(release(world.process().target, NEW))
    world.assert_whole()
    assert world.load().active == "green"


def test_a_release_under_which_the_active_colors_users_suffer_is_ended_though_its_releaser_lives(world: World) -> None:
    dog = watchdog(world)
    process = world.process()
    running = until(process, "deploy")
    watch(world, dog, 5)
    world.behaviour["old"] = Behaviour(errors=0.5)
    watch(world, dog, 20)
    world.assert_whole()
    assert world.load().active == "blue"
    _, found = past_releases(world.process().target.store)
    assert found[0].outcome is not None
    assert "requests to blue failed during" in found[0].outcome.reason
    with pytest.raises(Superseded):
        list(running)  # type: ignore[call-overload]


def test_a_release_that_mends_a_broken_service_is_not_stopped_for_what_was_broken_before() -> None:
    assert not users_fail_more(UserOutcomes(50, 100), before=UserOutcomes(4000, 8000))
    assert users_fail_more(UserOutcomes(50, 100), before=UserOutcomes(10, 8000))
    assert not users_fail_more(UserOutcomes(5, 5), before=NOBODY)


def test_a_promoted_release_is_finished_and_not_taken_from_its_users(world: World) -> None:
    killed_at(world, "hold")
    watch(world, watchdog(world), RULES.lease_seconds + ABANDONED_SECONDS + 60)
    world.assert_whole()
    assert world.load().active == "green"


def test_a_first_release_has_nobody_to_give_the_traffic_to() -> None:
    record = {
        "active": None,
        "lease": None,
        "release": {"id": "r1", "target": "blue", "step": "shift-100", "phase": "Progressing"},
    }
    assert reason_to_return(record, 100, World().now()) is None


@pytest.mark.parametrize("plan", EVERY_CALL)
def test_a_releaser_killed_at_any_call_leaves_what_ends_whole_without_a_hand(plan: str) -> None:
    for at in deaths_of(plan, "kill-after"):
        made = world_of(plan)
        with pytest.raises(Killed):
            finish(made.process(at, "kill-after"), PLANS[plan])
        dog = watchdog(made)
        end = made.seconds + RULES.lease_seconds + 3 * ABANDONED_SECONDS
        while made.seconds < end:
            try:
                list(dog.look())
            except OperatorError:
                continue
            finally:
                made.pass_time(5.0)
        try:
            made.assert_whole()
        except AssertionError as error:
            raise AssertionError(f"killed at call {at} of {plan} ({made.calls})") from error


def test_traffic_goes_back_although_nobody_says_how_the_active_color_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_at(world, "analyse-25")
    dog = watchdog(world)
    world.seconds += RULES.lease_seconds + 1
    monkeypatch.setattr(
        Meter, "read", lambda self, color: (_ for _ in ()).throw(OperatorError("silent", where=color, next="teal status"))
    )
    list(dog.look())
    assert world.weights == all_to("blue")
