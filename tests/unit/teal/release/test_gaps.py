"""What happens when a part does not answer for a moment, or two operators act in the same one."""

from __future__ import annotations

from pathlib import Path

import pytest

from teal.errors import BadInput, NeedsHuman, OperatorError
from teal.ports.traffic import all_to
from teal.record.file import StoreFailed
from teal.record.lease import Superseded
from teal.release.repair import find_inconsistencies, repair
from teal.release.rollback import abort, rollback
from teal.release.runner import ReleaseFailed, ReleaseRequest, resume
from tests.unit.teal.release.ports import RULES, Process, World
from tests.unit.teal.release.test_release import until

NEW = ReleaseRequest(Path("new"))


def fails(what: str, times: int) -> object:
    """To be called before a call takes effect: fails that many times, then never again."""
    left = [OperatorError(f"{what} does not answer", where=what, next="teal status") for _ in range(times)]

    def hook() -> None:
        if left:
            raise left.pop()

    return hook


def failing(process: Process, call: str, times: int) -> None:
    """Let the next `times` calls of a port's method fail."""
    hook = fails(call, times)
    real = process.call

    def watched(name: str, act: object) -> object:
        if name == call:
            hook()  # type: ignore[operator]
        return real(name, act)  # type: ignore[arg-type]

    process.call = watched  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize("call", ["runtime.readiness", "traffic.read"])
@pytest.mark.parametrize("step", ["analyse-25", "hold"])
def test_one_answer_that_is_lost_while_users_are_watched_does_not_undo_a_release(world: World, call: str, step: str) -> None:
    process = world.process()
    running = until(process, step)
    next(running)  # the first look
    failing(process, call, 1)
    for _ in running:
        pass
    world.assert_whole()
    assert world.load().active == "green"


def test_a_color_of_which_nobody_can_say_whether_it_runs_is_undone(world: World) -> None:
    process = world.process()
    running = until(process, "analyse-25")
    failing(process, "runtime.readiness", 3)
    with pytest.raises(ReleaseFailed, match=r"runtime\.readiness does not answer"):
        list(running)
    world.assert_whole()
    assert world.load().active == "blue"


def test_a_rollback_gives_the_traffic_back_when_the_release_s_document_can_not_be_read(world: World) -> None:
    until(world.process(), "analyse-50")  # half and half: the shares do not tell which color was first
    process = world.process()

    def away() -> None:
        raise StoreFailed("S3 did not answer", "s3://bucket/releases/r1.json")

    process.before["store.fetch"] = away
    with pytest.raises(NeedsHuman, match="All requests go to blue") as said:
        list(rollback(process.target))
    assert world.weights == all_to("blue")
    assert said.value.next.startswith("teal rollback again")
    list(rollback(world.process().target))
    world.assert_whole()


def test_a_rollback_that_was_overtaken_by_the_release_s_end_gives_the_traffic_to_who_is_there(world: World) -> None:
    """It was frozen between giving the traffic back and writing that it did, for longer than the old color took to end."""
    running = until(world.process(), "retire")
    next(running)  # its last look at the shares was before ours
    process = world.process()
    process.before["store.write"] = lambda: [*running]
    process.before["store.read"] = lambda: None

    with pytest.raises((Superseded, NeedsHuman)):
        list(rollback(process.target))
    assert world.load().active == "green"
    assert world.weights == all_to("green")


def test_an_abort_of_what_is_active_already_is_bad_input_and_names_rollback(world: World) -> None:
    until(world.process(), "hold")
    with pytest.raises(BadInput) as said:
        list(abort(world.process().target))
    assert said.value.next == "teal rollback"


def test_resume_does_not_set_a_release_going_that_began_to_be_undone_in_the_same_moment(world: World) -> None:
    world.rate = 0.0
    world.behaviour["new"].counted = False  # nobody can judge it
    running = until(world.process(), "analyse-5")
    while world.load().release is None or world.load().release.phase != "Paused":  # type: ignore[union-attr]
        next(running)
    process = world.process()

    def times_out() -> None:
        while world.load().release.phase != "RollingBack":  # type: ignore[union-attr]
            next(running)

    reads = [lambda: None, times_out]  # the second look is the one that decides

    def read() -> None:
        reads.pop(0)()
        if reads:
            process.before["store.read"] = read

    process.before["store.read"] = read
    with pytest.raises(Superseded):
        list(resume(process.target))
    assert world.load().release.phase == "RollingBack"  # type: ignore[union-attr]


def test_a_repair_that_fails_gives_its_lease_up(world: World) -> None:
    world.weights = all_to("green")
    process = world.process()
    failing(process, "traffic.set", 1)
    with pytest.raises(OperatorError, match=r"traffic\.set does not answer"):
        list(next(repair(process.target))[1])
    assert world.load().lease is None
    for _, work in repair(world.process().target):  # at once, not when a lease has run out
        list(work)
    world.assert_whole()


def test_pending_operations_are_mended_under_the_lease_and_the_release_stays_for_the_next_finding(world: World) -> None:
    until(world.process(), "deploy")
    world.half_done.add("blue")
    world.running.pop("blue")
    world.seconds += RULES.lease_seconds + 1
    mending = find_inconsistencies(world.process().target)[0].mend()
    next(mending)
    assert world.load().lease is not None
    list(mending)
    assert world.load().lease is None
    assert world.load().release is not None


def test_repair_gives_the_traffic_back_also_while_the_catalog_can_not_be_asked_for_jobs(world: World) -> None:
    world.weights = all_to("green")
    world.record = world.load().model_copy(update={"history": ("r0", "r9")}).model_dump_json().encode()
    process = world.process()
    failing(process, "runtime.admin", 1)
    findings = repair(process.target)
    list(next(findings)[1])
    assert world.weights == all_to("blue")
    with pytest.raises(OperatorError, match=r"runtime\.admin does not answer"):
        next(findings)
