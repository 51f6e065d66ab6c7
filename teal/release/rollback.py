"""Rolls a release back. It first returns the traffic, without the lease and if necessary without the record;
then it fences the releaser and cleans up."""

from __future__ import annotations

from collections.abc import Iterator

from teal.errors import BadInput, NeedsHuman
from teal.events import Event
from teal.ports.target import Target
from teal.ports.traffic import all_to
from teal.record.file import StoreFailed
from teal.record.lease import LeaseHolder, Superseded
from teal.record.model import Color, Record, other
from teal.record.releases import ReleasePlan, read_plan, require_same
from teal.release.context import ReleaseRun, shares_json
from teal.release.evidence.folder import record_evidence
from teal.release.plan import is_reversible, position_of
from teal.release.runner import undo_steps
from teal.release.steering import without_store_errors
from teal.release.steps.color import RETIRE

_LOOK_SECONDS = 0.5  # between two reads of the shares, while a fenced releaser's last call may still arrive


class _TooLate(Exception):
    """The releaser began to retire the old color between our read of the record and our write."""


def rollback(target: Target, to: Color | None = None, *, note: str = "") -> Iterator[Event]:
    """Give all requests to the previous color at once, then undo the release. `to`: that color, for when the record cannot be
    read. `note`: the reason when no person asked for it; it is kept with the outcome.

    Raises BadInput when there is nothing to go back to,
    NeedsHuman when the store stayed down or the old color is already being retired.
    """
    try:
        record, _ = target.store.read()
    except StoreFailed as error:
        yield from _blind(target, to or _likely(target, error), error)
        return
    if record.release is None:
        raise BadInput("No release is under way and the rollback window of the last one is over: the old color is gone",
                       where="the release record", next="teal history; then teal rollback --to RELEASE")  # fmt: skip
    try:
        plan = read_plan(target.store, record)
    except StoreFailed as error:
        yield from _blind(target, to or _before(record) or _likely(target, error), error)
        return
    _refuse_late(record, plan)
    back = plan.previous
    if back is not None:
        if to is not None and to != back:
            raise BadInput(f"Release {plan.id} replaces {back}; {to} is what it brings", where=f"--to {to}", next="teal rollback")
        target.traffic.set(all_to(back))
        yield Event("traffic", "ok", f"all requests to {back}", data=shares_json(all_to(back)))

    def seize(found: Record) -> Record:
        require_same(found, plan)
        if _late(found, plan):
            raise _TooLate
        release = (
            found.release.model_copy(update={"phase": "RollingBack", "note": note or found.release.note})
            if found.release
            else None
        )
        return found.model_copy(update={"release": release, "active": back})

    try:
        lease = LeaseHolder.take(target.store, target.clock, target.rules.lease_seconds, seize, force=True)
    except (_TooLate, Superseded):
        now, _ = target.store.read()
        if now.active is not None:  # the release was finished meanwhile, and the old color is being retired
            target.traffic.set(all_to(now.active))
        _refuse_late(now, plan)
        raise
    except StoreFailed as error:
        if back is not None:
            yield from _assert(target, back)
        raise _unrecorded(back, error) from error
    run = ReleaseRun(target, lease, plan, steering=without_store_errors(target.store, plan.id))
    yield Event("fence", "ok", f"generation {lease.generation}: any other releaser stops")
    yield from record_evidence(run, "rollback", _give_up(run, back))


def _give_up(run: ReleaseRun, back: Color | None) -> Iterator[Event]:
    if back is not None:
        for event in _assert(run.target, back, run):
            yield run.told(event)
    # The step at which the releaser was fenced; it may be later than the one in the record that was read first.
    release = run.lease.check().release
    step, note = (release.step, release.note) if release else ("", "")
    yield from undo_steps(run, position_of(run.plan, step), f"rolled back at {step}" + (f": {note}" if note else ""))


def _assert(target: Target, back: Color, run: ReleaseRun | None = None) -> Iterator[Event]:
    """Set the shares again after the fence, and whenever they differ,
    until no call of the fenced releaser can be in flight any more."""
    clock = target.clock
    started, again = clock.monotonic(), 0
    # This also invalidates shares that a releaser has prepared but not yet put in force,
    # where the load balancer can do so (Caddy).
    target.traffic.set(all_to(back))
    while clock.monotonic() - started < target.rules.fence_seconds:
        clock.sleep(min(_LOOK_SECONDS, target.rules.fence_seconds))
        if run is not None:
            run.lease.keep()
        if target.traffic.read() != all_to(back):
            target.traffic.set(all_to(back))
            again += 1
    yield Event(
        "fence",
        "ok",
        f"{back} kept all requests for {target.rules.fence_seconds:g} s" + (f", set again {again} times" if again else ""),
    )


def _blind(target: Target, back: Color, error: StoreFailed) -> Iterator[Event]:
    """Return the traffic without a readable record. Always raises NeedsHuman, because the release cannot be undone."""
    target.traffic.set(all_to(back))
    yield Event("traffic", "ok", f"all requests to {back}", data=shares_json(all_to(back)))
    yield from _assert(target, back)
    raise _unrecorded(back, error)


def _unrecorded(back: Color | None, error: StoreFailed) -> NeedsHuman:
    kept = f"All requests go to {back}" if back else "No color served before"
    return NeedsHuman(
        f"{kept}, but the record could not be written: {error.what}",
        where=error.where,
        next="teal rollback again, when it can be read",
    )


def _before(record: Record) -> Color | None:
    """The color that the release under way replaces, found without its plan; None once that color is being retired."""
    if record.release is None or record.release.step == RETIRE.name:
        return None
    color = other(record.release.target)
    return color if record.color(color) is not None else None


def _likely(target: Target, error: StoreFailed) -> Color:
    """The color with the larger share, which is probably the old one. Raises NeedsHuman when one has all or both have half."""
    found = target.traffic.read()
    if found.blue == found.green or 100 in (found.blue, found.green):
        raise NeedsHuman(f"The record can not be read ({error.what}) and the shares (blue {found.blue}, green {found.green}) do not tell which color was first",
                         where=error.where, next="teal rollback --to blue, or --to green")  # fmt: skip
    return "blue" if found.blue > found.green else "green"


def _late(record: Record, plan: ReleasePlan) -> bool:
    if record.release is None or record.release.phase == "RollingBack":
        return False
    return not is_reversible(plan, record.release.step)


def _refuse_late(record: Record, plan: ReleasePlan) -> None:
    if _late(record, plan):
        replaced = plan.replaces.image if plan.replaces else "ID"
        raise NeedsHuman(f"{other(plan.target)} is already being ended", where=plan.id,
                         next=f"teal resume; then teal release --image {replaced}")  # fmt: skip


def abort(target: Target) -> Iterator[Event]:
    """Roll back a release that is not promoted yet. Raises BadInput when none is under way, or when it was promoted."""
    record, _ = target.store.read()
    if record.release is not None and record.active == record.release.target:
        raise BadInput(f"{record.release.id} is active already", where="the release record", next="teal rollback")
    yield from rollback(target)
