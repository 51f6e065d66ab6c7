"""What each step does, and beside it what takes it back. Every one may be run again after it was interrupted anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from teal.errors import AdminFailed, NeedsHuman, OperatorError
from teal.record import Color, ColorState, Record
from teal.record_file import StoreFailed
from teal.release import load, questions, schema, watch
from teal.release.plan import Action, Step
from teal.release.run import Run, shares
from teal.stack.events import Event
from teal.traffic.port import all_to, shifted

Do = Callable[[Run, Step], Iterator[Event]]
Undo = Callable[[Run], Iterator[Event]]


def preflight(run: Run, step: Step) -> Iterator[Event]:
    runtime = run.target.runtime
    for color in (run.new, *((run.old,) if run.old else ())):
        if pending := runtime.pending(color):
            raise NeedsHuman(f"{color}: {'; '.join(pending)}", where=f"runtime of {color}", next="teal repair")
    if running := runtime.replicas(run.new):
        raise NeedsHuman(
            f"{run.new} should be empty and runs {running} processes", where=f"runtime of {run.new}", next="teal repair"
        )
    if run.old is None:
        return
    found = run.target.traffic.read()
    if found != all_to(run.old):
        raise NeedsHuman(
            f"{run.old} is active but has {found.of(run.old)} % of the requests", where="load balancer", next="teal repair"
        )
    ready = runtime.readiness(run.old)
    if not ready.complete:
        raise OperatorError(
            f"The active color is not whole: {ready.ready} of {ready.wanted} are ready. {ready.reason}",
            where=run.old,
            next="teal status",
        )
    yield Event(step.name, "progress", f"{run.old} is whole ({ready.ready} processes) and has all requests", data=shares(found))
    yield from proven_snapshot(run, step, run.old)


def proven_snapshot(run: Run, step: Step, color: Color) -> Iterator[Event]:
    """A release may need a restore: raises OperatorError unless a recent snapshot passed its test."""
    hours, state = run.target.rules.snapshot_hours, run.ledger.check().color(color)
    if not hours or state is None:
        return
    tested = [row for row in run.admin(state, color, "snapshots") if row["verified_at"]]
    age = min((float(row["age_seconds"]) / 3600 for row in tested), default=None)
    if age is None or age > hours:
        said = (
            "No snapshot has passed its test"
            if age is None
            else f"The newest snapshot that passed its test is {age:.0f} h old, not {hours:g}"
        )
        raise OperatorError(said, where="snapshots", next="teal snapshot && teal verify; then teal release again")
    yield Event(step.name, "progress", f"a snapshot of {age:.1f} h ago passed its test")


def expand_schema(run: Run, step: Step) -> Iterator[Event]:
    state = run.state()
    run.admin(state, run.new, "migrate", "--expand")
    revision = str(run.admin(state, run.new, "schema")[0]["revision"])
    if not schema.covers(state.schema_min, revision, state.schema_max):
        raise OperatorError(f"The image serves schema {state.schema_min} to {state.schema_max}; the database is at {revision}",
                            where="catalog", next="release an image of the newer code")  # fmt: skip
    yield Event(step.name, "progress", f"database at {revision}; the image serves {state.schema_min} to {state.schema_max}")


def build_index(run: Run, step: Step) -> Iterator[Event]:
    """In pieces of some seconds: the lease is kept, what users send is owed to the new index too, and a resumed release goes on with the rest."""
    state, done = run.state(), 0
    while True:
        row = run.admin(state, run.new, "index", "build", "--name", state.index)[-1]
        done, left = done + int(row["done"]), int(row["left"])
        yield Event(step.name, "progress", f"{state.index}: {row['detail']}", done=done, total=done + left)
        if left == 0:
            return
        run.wait()


def undo_build_index(run: Run) -> Iterator[Event]:
    """Nobody reads it; while it is registered every document would be owed to it."""
    if run.old is not None and (staying := run.ledger.check().color(run.old)) is not None:
        yield from remove_index(run, staying, run.old, run.document.state.index)


def verify_index(run: Run, step: Step) -> Iterator[Event]:
    state = run.state()
    against = ("--against", run.document.replaces.index) if run.document.replaces else ()
    for row in run.admin(state, run.new, "index", "verify", "--name", state.index, *against):
        yield Event(step.name, "progress", str(row["detail"]))


def drop_index(run: Run, step: Step) -> Iterator[Event]:
    if run.document.replaces is not None:
        yield from remove_index(run, run.state(), run.new, run.document.replaces.index)


def remove_index(run: Run, state: ColorState, color: Color, index: str) -> Iterator[Event]:
    """By the color that stays, which does not read it."""
    row = run.admin(state, color, "index", "drop", "--name", index)[-1]
    yield Event("index", "progress", f"{index} is removed" if row["dropped"] else f"{index} was not there")


def raise_floor(run: Run, step: Step) -> Iterator[Event]:
    """The old color carries the load of now with what runs now: the new one must be able to before it meets any of it."""
    runs = run.target.runtime.replicas(run.old) if run.old else 0
    floor = max(run.document.state.replica_floor, runs)
    run.ledger.change(
        lambda record: put(
            record, run.new, (record.color(run.new) or run.document.state).model_copy(update={"replica_floor": floor})
        )
    )
    yield Event(step.name, "progress", f"at least {floor} processes")


def deploy(run: Run, step: Step) -> Iterator[Event]:
    for event in run.target.runtime.deploy(run.new, run.state()):
        run.ledger.keep()
        yield event


def undo_deploy(run: Run) -> Iterator[Event]:
    """Jobs first, and again when nothing of the color is left that could add one."""
    yield from give_jobs(run, run.new, run.old, run.document.id)
    for event in run.target.runtime.retire(run.new):
        run.ledger.keep()
        yield event
    yield from give_jobs(run, run.new, run.old, run.document.id)


def ready(run: Run, step: Step) -> Iterator[Event]:
    clock = run.target.clock
    deadline = clock.monotonic() + run.target.rules.ready_seconds
    while not (found := run.target.runtime.readiness(run.new)).complete:
        if clock.monotonic() >= deadline:
            raise OperatorError(
                f"{run.new} is not ready: {found.ready} of {found.wanted}. {found.reason}", where=run.new, next="teal logs app"
            )
        yield Event(step.name, "progress", found.reason, done=found.ready, total=found.wanted)
        run.wait()


def shift(run: Run, step: Step) -> Iterator[Event]:
    weights = shifted(run.new, step.percent or 0)
    run.set_shares(weights)
    yield Event(step.name, "progress", f"{step.percent} % to {run.new}", data=shares(weights))


def give_back(run: Run) -> Iterator[Event]:
    """All requests to the old color. Also when the store is down, as long as nobody can have taken the lease."""
    if run.old is None:
        return
    try:
        run.set_shares(all_to(run.old))
    except StoreFailed:
        if not run.ledger.fresh:
            raise
        run.target.traffic.set(all_to(run.old))
    yield Event("give-back", "warn", f"all requests to {run.old}", data=shares(all_to(run.old)))


def analyse(run: Run, step: Step) -> Iterator[Event]:
    weights = shifted(run.new, step.percent or 0)
    if run.target.traffic.read() != weights:  # a releaser before this one died between the two
        run.set_shares(weights)
    yield from watch.analyse(run, step)


def promote(run: Run, step: Step) -> Iterator[Event]:
    run.ledger.change(lambda record: record.model_copy(update={"active": run.new}), generation=True)
    yield Event(step.name, "progress", f"{run.new} is active")


def undo_promote(run: Run) -> Iterator[Event]:
    run.ledger.change(lambda record: record.model_copy(update={"active": run.old}), generation=True)
    yield Event("promote", "warn", f"{run.old or 'no color'} is active again")


def re_home(run: Run, step: Step) -> Iterator[Event]:
    if run.old is not None and run.document.replaces is not None:
        yield from give_jobs(run, run.old, run.new, run.document.replaces.release_id)


def retire(run: Run, step: Step) -> Iterator[Event]:
    if run.old is None:
        return
    if share := run.target.traffic.read().of(run.old):  # a rollback gives the traffic back before it can write that it did
        raise OperatorError(f"{run.old} has {share} % of the requests again", where="load balancer", next="teal history")
    for event in run.target.runtime.retire(run.old):
        run.ledger.keep()
        yield event
    yield from re_home(run, step)  # what it added between the last look and its end
    old = run.old
    run.ledger.change(lambda record: put(record, old, None))


def give_jobs(run: Run, leaving: Color, staying: Color | None, release_id: str) -> Iterator[Event]:
    """Every job of a release to the color that stays, until none is left. Raises NeedsHuman after `jobs_seconds`."""
    record = run.ledger.check()
    state = record.color(staying) if staying else None
    if staying is None or state is None:
        return  # a first release: its jobs wait for the next one
    clock = run.target.clock
    deadline = clock.monotonic() + run.target.rules.jobs_seconds
    while True:
        try:
            rows = run.admin(state, staying, "jobs", "rehome", "--from", release_id, "--to", state.release_id)
            left = int(run.admin(state, staying, "jobs", "left", "--release", release_id)[0]["left"])
        except AdminFailed as error:  # a process of the leaving color still enqueues, or the database is busy
            left, said = -1, error.what
        else:
            said = f"{sum(int(row.get('moved', 0)) for row in rows)} jobs of {leaving} to {staying}, {left} left"
        yield Event("jobs", "progress", said)
        if left == 0:
            return
        if clock.monotonic() >= deadline:
            raise NeedsHuman(f"Jobs of {leaving} can not be re-homed: {said}", where=f"release {release_id}", next="teal repair")
        run.wait()


def nothing(run: Run) -> Iterator[Event]:
    yield from ()


def put(record: Record, color: Color, state: ColorState | None) -> Record:
    return record.model_copy(update={color: state})


STEPS: Final[Mapping[Action, tuple[Do, Undo]]] = {
    "preflight": (preflight, nothing),
    "expand-schema": (expand_schema, nothing),  # an expanded schema serves the images of before
    "build-index": (build_index, undo_build_index),
    "verify-index": (verify_index, nothing),
    "raise-floor": (raise_floor, nothing),  # the floor is part of the color's state, which ends with the release
    "deploy": (deploy, undo_deploy),
    "ready": (ready, nothing),
    "warm": (questions.warm, nothing),  # the cache keys carry the release
    "golden": (questions.golden, questions.undo_golden),
    "load": (load.load, nothing),  # uploaders take away what they send
    "shift": (shift, give_back),
    "analyse": (analyse, give_back),
    "promote": (promote, undo_promote),
    "hold": (watch.hold, give_back),
    "re-home": (re_home, nothing),  # the jobs go back when the color's deployment is undone
    "retire": (retire, nothing),  # never asked: plan.POINT_OF_NO_RETURN
    "drop-index": (drop_index, nothing),  # nor this
}
