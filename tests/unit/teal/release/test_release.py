"""What releases and rollbacks promise, against a service in memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

from teal.errors import AdminFailed, BadInput, HeldByAnother, NeedsHuman, OperatorError
from teal.events import Event
from teal.ports.traffic import Weights, all_to, weights_after_shift
from teal.record.lease import Superseded
from teal.record.model import Record
from teal.record.releases import past_releases
from teal.release import schema
from teal.release.canary import Undecided
from teal.release.contract_schema import contract
from teal.release.repair import find_inconsistencies, repair
from teal.release.rollback import abort, rollback
from teal.release.runner import ReleaseFailed, ReleaseRequest, plan_steps, release, resume
from tests.unit.teal.release.ports import RULES, Behaviour, Process, World, counted

NEW = ReleaseRequest(Path("new"))


def run(process: Process, wish: ReleaseRequest = NEW) -> list[Event]:
    return list(release(process.target, wish))


def until(process: Process, step: str, wish: ReleaseRequest = NEW) -> object:
    """A release that is at that step and can be stepped on."""
    running = release(process.target, wish)
    process.world.kept.append(running)  # a generator that nobody holds is closed, which undoes its release
    while next(running).step != step:
        pass
    return running


def test_a_release_moves_everything_to_the_new_color(world: World) -> None:
    run(world.process())
    world.assert_whole()
    assert world.load().active == "green"
    assert world.shares_seen == [weights_after_shift("green", percent) for percent in (5, 25, 50, 100)]
    assert world.jobs[world.load().green.release_id] == 3  # type: ignore[union-attr]


def test_releases_alternate_colors_and_are_all_remembered(world: World) -> None:
    for number in range(25):
        world.put_image(f"v{number}")
        run(world.process(), ReleaseRequest(Path("."), image=f"v{number}"))
        world.assert_whole()
    record, found = past_releases(world.process().target.store)
    assert record.active == "green"
    assert len(found) == 20
    assert [one.plan.state.image for one in found if one.plan] == [f"v{number}" for number in range(24, 4, -1)]
    assert {one.outcome.phase for one in found if one.outcome} == {"Healthy"}


def test_the_first_release_needs_no_active_color() -> None:
    world = World()
    world.put_image("new")
    steps = [event.step for event in run(world.process())]
    world.assert_whole()
    assert world.load().active == "blue"
    assert "hold" not in steps
    assert not any(step.startswith("analyse") for step in steps)


def test_a_first_release_that_fails_leaves_an_empty_service() -> None:
    world = World()
    world.put_image("new", Behaviour(status=500))
    with pytest.raises(ReleaseFailed):
        run(world.process())
    world.assert_whole()
    assert world.load().active is None


def test_the_floor_is_what_the_active_color_runs_before_the_new_one_is_deployed(world: World) -> None:
    world.replicas["blue"] = 7
    steps = [event.step for event in run(world.process())]
    assert steps.index("raise-floor") < steps.index("deploy")
    assert "deploy green floor 7" in world.calls


def test_the_old_color_can_take_everything_back_until_it_ends(world: World) -> None:
    world.replicas["blue"] = 7
    process, seen = world.process(), dict[str, int]()
    for event in release(process.target, NEW):
        seen[event.step] = world.replicas["blue"]
    assert {seen[step] for step in ("shift-5", "shift-100", "promote", "hold")} == {7}


def test_a_peak_at_a_release_is_no_minimum_for_good(world: World) -> None:
    world.replicas["blue"] = 7
    run(world.process())
    assert (world.floors, world.load().green.replica_floor) == ({"green": 2}, 2)  # type: ignore[union-attr]
    world.put_image("worse", Behaviour(golden=False))
    world.replicas["green"] = 9
    with pytest.raises(ReleaseFailed):
        run(world.process(), ReleaseRequest(Path("worse")))
    assert world.floors == {"green": 2}, "and an undone release leaves none either"


def test_the_old_color_ends_only_after_the_hold_and_when_it_has_no_jobs(world: World) -> None:
    process, seen = world.process(), []
    for event in release(process.target, NEW):
        if event.step == "hold" and event.state == "ok":
            seen.append(("held", world.seconds, world.jobs["r0"], world.replicas["blue"]))
        if event.step == "retire" and event.state == "start":
            seen.append(("retires", world.seconds, world.jobs["r0"], world.replicas["blue"]))
    assert [one[0] for one in seen] == ["held", "retires"]
    assert seen[0][2:] == (3, 3), "jobs and processes of the old color stay through the rollback window"
    assert seen[1][2] == 0
    assert world.calls.index(
        next(call for call in world.calls if call.startswith("jobs transfer --from r0"))
    ) < world.calls.index("retire blue")


def test_jobs_that_can_not_be_moved_keep_the_old_color(world: World) -> None:
    process = world.process()
    running = until(process, "hold")
    real = world.jobs
    world.jobs = _Stuck(real)
    with pytest.raises(NeedsHuman) as said:
        list(running)  # type: ignore[call-overload]
    assert said.value.next == "teal resume"
    assert "retire blue" not in world.calls
    assert world.weights == all_to("green")
    world.jobs = real
    list(resume(world.process().target))
    world.assert_whole()


def test_jobs_are_tried_again_while_the_leaving_color_still_enqueues(world: World) -> None:
    process = world.process()
    running = until(process, "job-transfer")

    def busy() -> None:
        raise AdminFailed("jobs transfer", code="catalog", detail="something still enqueues", action="", bad_input=False)

    process.before["runtime.admin"] = busy
    said = [event.detail for event in running]  # type: ignore[attr-defined]
    assert "something still enqueues" in said
    world.assert_whole()
    assert world.load().active == "green"


class _Stuck(dict[str, int]):
    def __setitem__(self, key: str, value: int) -> None:
        super().__setitem__(key, max(value, self.get(key, 0)))


BAD = {
    "does not start": (Behaviour(starts=False), "deploy"),
    "never ready": (Behaviour(ready=False), "ready"),
    "answers nothing": (Behaviour(status=500), "golden"),
    "golden questions fail": (Behaviour(golden=False), "golden"),
    "leaks another release's cache": (Behaviour(shares_cache=True), "golden"),
    "jobs never finish": (Behaviour(ingests=False), "golden"),
    "streams that do not end": (Behaviour(streams_end="token"), "behave"),
    "errors": (Behaviour(errors=0.05), "analyse-5"),
    "slow": (Behaviour(slow=0.3), "analyse-5"),
    "crashes under load": (Behaviour(stays_ready=False), "analyse-5"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_version_is_undone_by_itself_and_few_users_met_it(world: World, bad: str) -> None:
    how, step = BAD[bad]
    world.put_image("new", how)
    process = world.process()
    with pytest.raises(ReleaseFailed, match=f"failed at {step} and was undone") as said:
        run(process)
    assert said.value.exit_code == 1
    world.assert_whole()
    assert world.load().active == "blue"
    met = sum(count for id, count in world.served.items() if id != "r0")
    assert met <= 0.05 * sum(world.served.values()) if step.startswith("analyse") else met == 0, (
        "users meet it in the first step only"
    )


def test_a_version_that_misbehaves_only_with_users_is_undone_at_that_share(world: World) -> None:
    world.put_image("new", Behaviour(streams_end="token", streams_break_at=25))
    with pytest.raises(ReleaseFailed, match=r"failed at behave-25 and was undone: streams: a stream ended with token"):
        run(world.process())
    world.assert_whole()
    assert world.load().active == "blue"


def test_what_the_active_color_does_wrong_too_is_said_and_stops_no_release(world: World) -> None:
    world.behaviour["old"] = Behaviour(streams_end="token")
    world.put_image("new", Behaviour(streams_end="token"))
    said = [event.detail for event in run(world.process()) if event.step.startswith("behave") and event.state == "warn"]
    assert len(said) == 5
    assert all("as blue does too" in one for one in said)


def test_a_version_that_turns_bad_in_the_rollback_window_is_rolled_back(world: World) -> None:
    running = until(world.process(), "hold")
    world.behaviour["new"] = Behaviour(errors=0.2)
    with pytest.raises(ReleaseFailed, match="failed at hold"):
        list(running)  # type: ignore[call-overload]
    world.assert_whole()
    assert world.load().active == "blue"


def test_traffic_is_given_back_before_anything_else_is_undone(world: World) -> None:
    world.put_image("new", Behaviour(errors=0.5))
    order: list[str] = []
    with pytest.raises(ReleaseFailed):
        order.extend(event.step for event in release(world.process().target, NEW))
    after = [step for step in order[order.index("analyse-5") :] if step != "analyse-5"]
    assert after[0] == "give-back"


def silent(world: World) -> World:
    """Nobody's requests are counted, so nobody can say anything."""
    world.behaviour["new"] = Behaviour(counted=False)
    return world


def test_an_inconclusive_release_pauses_with_exit_4_and_aborts_itself(world: World) -> None:
    running = release(silent(world).process().target, NEW)
    paused = next(event for event in running if event.data.get("phase") == "Paused")
    assert world.load().release.phase == "Paused"  # type: ignore[union-attr]
    assert paused.data["exit_code"] == 4
    paused_at = world.seconds
    with pytest.raises(Undecided) as said:
        list(running)
    assert said.value.exit_code == 4
    assert world.seconds - paused_at >= RULES.paused_seconds
    world.assert_whole()
    assert world.load().active == "blue"


def test_a_release_that_cannot_read_the_active_color_s_counts_pauses_and_says_so(world: World) -> None:
    running = release(world.process().target, NEW)
    for event in running:
        if event.step == "shift-5":
            world.silent.add("blue")
        if event.data.get("phase") == "Paused":
            break
    assert "inconclusive: the counts of blue cannot be read: nobody answers in blue. `teal resume`" in event.detail
    world.silent.clear()
    list(running)  # it goes on by itself when there are counts again
    world.assert_whole()
    assert world.load().active == "green"


def test_a_paused_release_goes_on_when_a_person_says_so(world: World) -> None:
    process = silent(world).process()
    resumed = 0
    for event in release(process.target, NEW):
        if event.data.get("phase") == "Paused":
            told = list(resume(world.process().target))
            resumed += 1
            assert "told to go on" in told[0].detail
    assert resumed == 3
    world.assert_whole()
    assert world.load().active == "green"


def test_probes_supply_samples_when_users_send_nothing(world: World) -> None:
    world.rate = 0.0
    run(world.process())
    world.assert_whole()
    assert world.load().active == "green"


def test_thin_traffic_does_not_hide_a_bad_version(world: World) -> None:
    world.rate = 0.0
    world.put_image("new", Behaviour(errors=1.0))
    with pytest.raises(ReleaseFailed, match="analyse-5"):
        run(world.process())
    world.assert_whole()


def test_a_version_whose_processes_begin_anew_again_and_again_is_undone_however_fast_they_are_back(world: World) -> None:
    turns = itertools.count()

    def crash() -> None:
        if "green" in world.running and next(turns) % 2:
            world.counts["green"] = counted()

    world.on_sleep.append(crash)
    with pytest.raises(ReleaseFailed, match="began anew"):
        run(world.process())
    world.assert_whole()


@pytest.mark.parametrize("step", ["deploy", "golden", "analyse-5", "shift-100", "hold"])
@pytest.mark.parametrize("command", [rollback, abort])
def test_rollback_needs_no_lease_and_stops_the_releaser(world: World, step: str, command: Callable) -> None:  # type: ignore[type-arg]
    running = until(world.process(), step)
    try:
        list(command(world.process().target))
    except OperatorError as said:
        if (command, step, said.next) != (abort, "hold", "teal rollback"):
            raise
        list(rollback(world.process().target))
    world.assert_whole()
    assert world.load().active == "blue"
    before = (world.weights, world.record, len(world.calls))
    with pytest.raises(Superseded):
        list(running)  # type: ignore[call-overload]
    assert (world.weights, world.record, len(world.calls)) == before


def test_traffic_is_the_first_thing_that_a_rollback_changes(world: World) -> None:
    until(world.process(), "analyse-50")
    process, order = world.process(), []
    process.before = {"traffic.set": lambda: order.append("traffic"), "store.write": lambda: order.append("record")}
    list(rollback(process.target))
    assert order == ["traffic", "record"]


def test_a_releaser_frozen_between_its_check_and_its_call_never_shifts_again(world: World) -> None:
    """Frozen where nothing can hold it back: after its last look at the generation, before the load balancer is called."""
    process = world.process()
    running = until(process, "analyse-5")
    freezes = _Frozen(world)
    process.target = replace(process.target)
    world_set = world.shares_seen
    shifts_before = len(world_set)
    process.before["traffic.set"] = lambda: None
    slept = process.target.traffic
    slept._port = freezes  # type: ignore[attr-defined]
    with pytest.raises(Superseded):
        list(running)  # type: ignore[call-overload]
    world.assert_whole()
    assert freezes.rolled_back
    assert world.load().active == "blue"
    assert world.weights == all_to("blue")
    assert weights_after_shift("green", 25) in world_set[shifts_before:], (
        "the call did arrive, on a load balancer that can not refuse it"
    )
    assert world_set[-1] == all_to("blue"), "and was taken back at once"


class _Frozen:
    """The load balancer as a process sees it that sleeps, on its next shift, until a whole rollback has happened."""

    def __init__(self, world: World) -> None:
        from tests.unit.teal.release.ports import Shares

        self._world, self._real, self.rolled_back = world, Shares(world), False

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def set(self, weights: Weights, *, check: Callable[[], None] | None = None) -> None:
        if check is not None:
            check()
        if not self.rolled_back:
            self.rolled_back = True
            list(rollback(self._world.process().target))
        self._real.set(weights)


def test_a_releaser_thawed_before_its_check_does_not_call_at_all(world: World) -> None:
    process = world.process()
    running = until(process, "analyse-5")
    process.before["traffic.set"] = lambda: list(rollback(world.process().target))  # type: ignore[assignment, return-value]
    with pytest.raises(Superseded):
        list(running)  # type: ignore[call-overload]
    world.assert_whole()
    assert weights_after_shift("green", 25) not in world.shares_seen


def test_a_rollback_undoes_what_the_releaser_did_while_it_was_decided(world: World) -> None:
    running = until(world.process(), "raise-floor")

    def deploys() -> None:
        while next(running).step != "ready":  # type: ignore[call-overload]
            pass

    process = world.process()
    process.before["store.write"] = deploys
    list(rollback(process.target))
    world.assert_whole()
    assert "retire green" in world.calls


def test_a_rollback_that_comes_as_the_old_color_is_being_ended_gives_the_traffic_to_the_new_one(world: World) -> None:
    running = until(world.process(), "job-transfer")

    def retires() -> None:
        while next(running).step != "retire":  # type: ignore[call-overload]
            pass

    process = world.process()
    process.before["store.write"] = retires
    with pytest.raises(NeedsHuman, match="blue is already being ended"):
        list(rollback(process.target))
    assert world.weights == all_to("green")
    list(running)  # type: ignore[call-overload]
    world.assert_whole()
    assert world.load().active == "green"


def test_a_color_that_was_given_requests_back_is_not_ended(world: World) -> None:
    running = until(world.process(), "retire")
    world.weights = all_to("blue")  # the first half of a rollback
    with pytest.raises(NeedsHuman, match="has 100 % of the requests again"):
        list(running)  # type: ignore[call-overload]
    assert "retire blue" not in world.calls


def test_a_late_call_of_a_fenced_releaser_is_set_again_within_the_fence(world: World) -> None:
    until(world.process(), "analyse-5")
    late = [lambda: setattr(world, "weights", weights_after_shift("green", 25))]

    def arrive() -> None:
        if late and world.seconds > began + 4:
            late.pop()()

    began = world.seconds
    world.on_sleep.append(arrive)
    said = list(rollback(world.process().target))
    world.assert_whole()
    assert any("set again 1 times" in event.detail for event in said)


@pytest.mark.parametrize("to", [None, "blue"])
def test_rollback_gives_the_traffic_back_when_the_store_is_down(world: World, to: str | None) -> None:
    until(world.process(), "analyse-25")
    world.store_down = True
    with pytest.raises(NeedsHuman, match="All requests go to blue, but the record could not be written") as said:
        list(rollback(world.process().target, to))  # type: ignore[arg-type]
    assert world.weights == all_to("blue")
    assert said.value.exit_code == 4
    world.store_down = False
    list(rollback(world.process().target))
    world.assert_whole()


def test_with_the_store_down_and_shares_that_say_nothing_a_person_names_the_color(world: World) -> None:
    until(world.process(), "hold")
    world.store_down = True
    with pytest.raises(NeedsHuman, match="do not tell") as said:
        list(rollback(world.process().target))
    assert "--to" in said.value.next
    assert world.weights == all_to("green")
    with pytest.raises(NeedsHuman, match="All requests go to blue"):
        list(rollback(world.process().target, "blue"))
    assert world.weights == all_to("blue")


def test_a_releaser_whose_store_goes_down_gives_the_traffic_back(world: World) -> None:
    running = until(world.process(), "analyse-25")
    world.store_down = True
    with pytest.raises(NeedsHuman):
        list(running)  # type: ignore[call-overload]
    assert world.weights == all_to("blue")


def test_there_is_nothing_to_roll_back_to_when_the_window_is_over(world: World) -> None:
    run(world.process())
    for command in (rollback, abort):
        with pytest.raises(BadInput) as said:
            list(command(world.process().target))
        assert said.value.exit_code == 2
    assert world.weights == all_to("green")


def test_a_second_release_is_refused_while_one_is_under_way(world: World) -> None:
    until(world.process(), "analyse-5")
    for attempt in (lambda: run(world.process()), lambda: plan_steps(world.process().target, NEW)):
        with pytest.raises(HeldByAnother) as said:
            attempt()
        assert said.value.exit_code == 3
    world.seconds += RULES.lease_seconds + 1
    with pytest.raises(NeedsHuman, match="was left at analyse-5"):
        run(world.process())


def test_two_releasers_that_begin_at_once_make_one_release(world: World) -> None:
    first = world.process()
    first.before["store.write"] = lambda: until(world.process(), "deploy")  # type: ignore[assignment, return-value]
    with pytest.raises(HeldByAnother):
        run(first)
    assert sum(1 for call in world.calls if call.startswith("deploy")) == 0


def test_a_dry_run_changes_nothing(world: World) -> None:
    before = (world.record, dict(world.objects), world.weights, list(world.calls), dict(world.running))
    steps = plan_steps(world.process().target, ReleaseRequest(Path("new"), reindex=True))
    assert [step.name for step in steps][:4] == ["preflight", "expand-schema", "build-index", "verify-index"]
    assert all(step.says and step.undo for step in steps)
    assert (world.record, dict(world.objects), world.weights, list(world.calls), dict(world.running)) == before
    with pytest.raises(BadInput):
        plan_steps(world.process().target, ReleaseRequest(Path("."), image="nobody built this"))


def test_an_image_that_does_not_cover_the_expanded_schema_is_refused_before_it_is_deployed(world: World) -> None:
    world.expands_to = "0003"
    world.put_image("new", schema=("0001", "0002"))
    with pytest.raises(ReleaseFailed, match="serves schema 0001 to 0002; the database is at 0003"):
        run(world.process())
    assert not [call for call in world.calls if call.startswith("deploy")]
    world.assert_whole()


def _widened(world: World, how: Behaviour) -> None:
    world.expands_to = "0002"
    world.behaviour["old"] = how
    world.put_image("new", schema=("0001", "0002"))


def test_a_schema_from_which_the_active_color_suffers_is_taken_back_and_the_text_says_so(world: World) -> None:
    _widened(world, Behaviour(fails_from="0002"))
    with pytest.raises(
        ReleaseFailed, match=r"Schema 0002 made blue fail \(.*500.*\); it was taken back to 0001, and blue behaves again"
    ):
        run(world.process())
    assert world.revision == "0001"
    assert not [call for call in world.calls if call.startswith("deploy")]
    world.assert_whole()


def test_nothing_is_called_undone_while_the_active_color_does_not_answer(world: World) -> None:
    _widened(world, Behaviour(fails_from="0002", fails_for_good=True))
    with pytest.raises(NeedsHuman, match="but blue does not answer: 500") as said:
        run(world.process())
    assert "was undone" not in said.value.what
    with pytest.raises(NeedsHuman, match="but blue does not answer"):
        list(repair(world.process().target))
    _, found = past_releases(world.process().target.store)
    assert found[0].outcome is not None
    assert "afterwards blue did not answer: 500" in found[0].outcome.reason


def test_an_active_color_that_goes_on_as_before_is_no_reason_to_stop(world: World) -> None:
    _widened(world, Behaviour())
    said = [event.detail for event in run(world.process())]
    assert "blue behaves with the new schema as before (8 probes)" in said
    assert world.revision == "0002"


def test_only_expanding_migrations_run_in_a_release_and_before_the_deployment(world: World) -> None:
    run(world.process())
    migrations = [call for call in world.calls if call.startswith("migrate")]
    assert migrations == ["migrate --expand"]
    assert world.calls.index("migrate --expand") < next(n for n, call in enumerate(world.calls) if call.startswith("deploy"))


@pytest.mark.parametrize("where", ["analyse-5", "hold"])
def test_a_contract_is_refused_while_a_release_or_its_window_needs_the_old_schema(world: World, where: str) -> None:
    world.put_image("new", schema=("0001", "0002"))
    until(world.process(), where)
    assert any("is not over" in why for why in schema.needs_old_schema(world.load(), "0002"))


def test_a_contract_is_refused_while_a_color_can_not_serve_what_is_left(world: World) -> None:
    assert schema.needs_old_schema(world.load(), "0002") == ("blue runs old, which serves 0001 to 0001, not 0002",)
    world.put_image("new", schema=("0001", "0002"))
    run(world.process())
    assert schema.needs_old_schema(world.load(), "0002") == ()
    assert schema.needs_old_schema(Record(), "0002") == ()


def test_contracting_runs_under_the_lease_and_only_when_nobody_needs_the_old_schema(world: World) -> None:
    with pytest.raises(BadInput):
        list(contract(World().process().target))
    until(world.process(), "analyse-5")
    with pytest.raises(HeldByAnother):
        list(contract(world.process().target))
    list(rollback(world.process().target))
    world.put_image("new", schema=("0001", "0002"))
    world.revision = "0001"
    run(world.process())
    list(contract(world.process().target, dry_run=True))
    assert "migrate --contract" not in world.calls
    process = world.process()
    process.before["runtime.admin"] = lambda: None
    held: list[bool] = []
    world_calls = world.calls
    for _ in contract(process.target):
        held.append(world.load().lease is None)
    assert world_calls[-1] == "migrate --contract"
    assert world.revision == "0002"
    assert held == [True, True], "the lease is taken for the migration and given back"
    world.assert_whole()


def test_a_color_that_can_not_serve_the_contracted_schema_refuses_it(world: World) -> None:
    world.put_image("new", schema=("0001", "0002"))
    run(world.process())
    record = world.load()
    older = record.green.model_copy(update={"schema_max": "0001"})  # type: ignore[union-attr]
    world.record = record.model_copy(update={"blue": older}).model_dump_json().encode()
    with pytest.raises(NeedsHuman, match="blue runs v-new, which serves 0001 to 0001, not 0002"):
        list(contract(world.process().target))
    assert "migrate --contract" not in world.calls


def test_a_new_index_is_built_beside_the_old_one_before_the_color_reads_it(world: World) -> None:
    run(world.process(), ReleaseRequest(Path("new"), reindex=True))
    name = world.load().green.index  # type: ignore[union-attr]
    assert name.startswith("teal-r")
    calls = [call for call in world.calls if call.startswith(("index", "deploy", "retire"))]
    assert calls == [f"index build --name {name}", f"index build --name {name}", f"index verify --name {name} --against teal",
                     "deploy green floor 3", "retire blue", "index drop --name teal"]  # fmt: skip
    world.assert_whole()


def test_a_release_whose_tested_snapshots_are_old_is_refused_before_anything_changes(world: World) -> None:
    world.tested_hours_ago = (40.0, 27.0)
    with pytest.raises(OperatorError, match="is 27 h old, not 26"):
        plan_steps(world.process().target, NEW)
    with pytest.raises(ReleaseFailed, match="is 27 h old, not 26"):
        run(world.process())
    assert not [call for call in world.calls if call.startswith(("deploy", "migrate"))]
    world.assert_whole()
    world.tested_hours_ago = ()
    run(world.process(rules=replace(RULES, snapshot_hours=0)))
    assert world.untested == []


def test_the_first_release_takes_and_tests_its_own_snapshot_and_says_so(world: World) -> None:
    world.tested_hours_ago = ()
    plan_steps(world.process().target, NEW)
    assert world.untested == []
    said = [event.detail for event in run(world.process())]
    world.assert_whole()
    assert "no snapshot has passed its test yet: taking one, and restoring it for a test" in said
    assert "snapshot s1 is good: 3 documents" in said
    assert world.calls.index("verify --snapshot s1") < world.calls.index("migrate --expand")


def _wrong_shares(world: World) -> None:
    world.weights = Weights(60, 40)


def _leftover(world: World) -> None:
    world.replicas["green"] = 1


def _half_done(world: World) -> None:
    world.half_done.add("green")


def _not_whole(world: World) -> None:
    world.behaviour["old"] = Behaviour(ready=False)


@pytest.mark.parametrize("spoil", [_wrong_shares, _leftover, _half_done, _not_whole])
def test_what_a_preflight_refuses_a_dry_run_refuses_in_the_same_words(world: World, spoil: Callable[[World], None]) -> None:
    spoil(world)
    with pytest.raises(OperatorError) as dry:
        plan_steps(world.process().target, NEW)
    with pytest.raises(OperatorError) as real:
        run(world.process())
    assert dry.value.what in real.value.what


def test_the_index_of_a_release_that_failed_is_removed(world: World) -> None:
    world.put_image("new", Behaviour(errors=0.2))
    with pytest.raises(ReleaseFailed):
        run(world.process(), ReleaseRequest(Path("new"), reindex=True))
    assert [call.split()[1] for call in world.calls if call.startswith("index")] == ["build", "build", "verify", "drop"]
    world.assert_whole()


@pytest.mark.parametrize("how", [Behaviour(), Behaviour(errors=0.2), Behaviour(starts=False)])
def test_evidence_is_written_whether_a_release_succeeds_or_fails(world: World, how: Behaviour) -> None:
    world.put_image("new", how)
    events: list[Event] = []
    failed = ""
    try:
        for event in release(world.process().target, NEW):
            events.append(event)
    except ReleaseFailed as error:
        failed = error.what
    told = next(event for event in events if event.step == "evidence")
    page = world.objects[told.data["key"]].decode()
    kept = json.loads(world.objects[told.data["key"].replace("index.html", "release.json")])
    assert kept["failure"] == failed
    assert kept["release"]["state"]["image"] == "new"
    assert escape(kept["release"]["who"]) in page
    assert "<svg" in page
    assert "<script" not in page
    if how.starts:
        gates = [gate for event in kept["events"] for gate in event.get("gates", ())]
        assert {gate["gate"] for gate in gates} >= {"errors", "slow"}
        assert "analyse-5" in page
    if failed:
        assert "was undone" in page


def test_a_leftover_in_the_idle_color_is_named_and_nothing_is_touched(world: World) -> None:
    world.replicas["green"] = 1
    with pytest.raises(NeedsHuman, match="green should be empty") as said:
        run(world.process())
    assert said.value.next == "teal repair"
    assert [finding.will for finding in find_inconsistencies(world.process().target)] == ["end green"]


def test_pending_operations_of_a_dead_deployment_are_mended_first(world: World) -> None:
    world.half_done.add("green")
    with pytest.raises(NeedsHuman, match="an operation is pending"):
        run(world.process())
    found = find_inconsistencies(world.process().target)
    assert [one.will for one in found] == ["cancel and refresh the color's stack"]
    list(found[0].mend())
    assert find_inconsistencies(world.process().target) == ()
    world.assert_whole()


def test_repair_finds_what_nobody_holds_and_touches_nothing_by_looking(world: World) -> None:
    world.weights = Weights(70, 30)
    world.jobs["r9"] = 4
    record = world.load()
    world.record = record.model_copy(update={"history": ("r0", "r9")}).model_dump_json().encode()
    before = (world.weights, world.record, dict(world.jobs))
    found = find_inconsistencies(world.process().target)
    assert [one.what for one in found] == [
        "blue is active but has 70 % of the requests",
        "4 jobs of r9 wait for a worker that is gone",
    ]
    assert (world.weights, world.record, dict(world.jobs)) == before
    for one in found:
        list(one.mend())
    world.assert_whole()


def paused_at(world: World, percent: int) -> tuple[Process, Iterator[Event]]:
    """A release that waits for a person, and its process."""
    process = world.process()
    process.target = replace(process.target, rules=replace(process.target.rules, pause_at=percent))
    running = until(process, f"pause-{percent}")
    assert isinstance(running, Iterator)
    while next(running).data.get("phase") != "Paused":
        pass
    return process, running


def test_a_release_that_was_asked_to_pause_keeps_its_share_until_a_person_resumes(world: World) -> None:
    _, running = paused_at(world, 25)
    for _ in range(4):
        next(running)
    assert world.weights == weights_after_shift("green", 25)
    release = world.load().release
    assert release is not None
    assert release.phase == "Paused"
    list(resume(world.process().target))
    list(running)
    world.assert_whole()
    assert world.load().active == "green"


def test_a_pause_that_nobody_ends_is_undone(world: World) -> None:
    _, running = paused_at(world, 25)
    with pytest.raises(NeedsHuman, match="Nobody decided"):
        list(running)
    world.assert_whole()
    assert world.load().active == "blue"


def test_a_release_whose_releaser_died_in_its_pause_goes_on_when_resumed(world: World) -> None:
    paused_at(world, 25)
    world.seconds += RULES.lease_seconds + 1
    told = list(resume(world.process().target))
    assert "pause-25" not in {event.step for event in told}
    world.assert_whole()
    assert world.load().active == "green"


def test_what_is_active_already_is_said_before_anything_is_done(world: World) -> None:
    run(world.process())
    calls = len(world.calls)
    again = release(world.process().target, NEW)
    world.kept.append(again)
    said = [next(again) for _ in range(3)][-1]
    assert said.state == "warn"
    assert "active version already" in said.detail
    assert world.calls[calls:] == ["build new"]
