"""A freeze that releases respect, and a release followed from another terminal."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from teal.errors import BadInput, HeldByAnother
from teal.release.freeze import freeze, unfreeze
from teal.release.rollback import rollback
from teal.release.runner import ReleaseFailed, ReleaseRequest, plan_steps, release
from teal.release.watch import watch
from tests.unit.teal.release.ports import Behaviour, World
from tests.unit.teal.release.test_release import run, until

NEW = ReleaseRequest(Path("new"))


def test_a_freeze_refuses_every_release_with_its_message_and_builds_nothing(world: World) -> None:
    list(freeze(world.process().target, "the fair is on until Monday"))
    for attempt in (lambda: run(world.process()), lambda: plan_steps(world.process().target, NEW)):
        with pytest.raises(HeldByAnother, match="the fair is on until Monday"):
            attempt()
    assert world.calls == []
    list(unfreeze(world.process().target))
    run(world.process())
    world.assert_whole()


def test_a_freeze_outlives_a_rollback_and_does_not_keep_anybody_from_it(world: World) -> None:
    until(world.process(), "hold")
    said = [event.detail for event in freeze(world.process().target, "stop")]
    assert "under way at hold" in said[-1]
    list(rollback(world.process().target))
    world.assert_whole()
    with pytest.raises(HeldByAnother, match="stop"):
        run(world.process())


def test_a_freeze_says_why_and_ends_once(world: World) -> None:
    with pytest.raises(BadInput):
        list(freeze(world.process().target, "  "))
    with pytest.raises(BadInput, match="not frozen"):
        list(unfreeze(world.process().target))


@pytest.mark.parametrize(("how", "ends"), [(Behaviour(), "Healthy"), (Behaviour(errors=0.5), "Degraded")])
def test_whoever_watches_sees_each_step_and_the_end(world: World, how: Behaviour, ends: str) -> None:
    world.put_image("new", how)
    running = release(world.process().target, NEW)
    while world.load().release is None:
        next(running)
    works: list[bool] = []

    def on() -> None:
        """The releaser works on while the watcher sleeps."""
        if works:
            return  # it is the releaser that sleeps
        works.append(True)
        with suppress(ReleaseFailed):
            next(running, None)
        works.clear()

    world.on_sleep.append(on)
    seen = list(watch(world.process().target))
    assert [event.step for event in seen[:3]] == ["watch", "preflight", "expand-schema"]
    assert seen[-1].step == "done"
    assert seen[-1].detail.startswith(ends)


def test_there_is_nothing_to_watch_when_no_release_is_under_way(world: World) -> None:
    with pytest.raises(BadInput, match="No release is under way"):
        next(watch(world.process().target))
