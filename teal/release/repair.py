"""Finds what a dead releaser left behind, says how it would repair it, and repairs it on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from teal.errors import NeedsHuman, OperatorError
from teal.events import Event
from teal.ports.target import Target
from teal.ports.traffic import all_to
from teal.record.file import StoreFailed
from teal.record.lease import LeaseHolder, refuse_held
from teal.record.model import COLORS, Color, Record, other
from teal.record.releases import ReleasePlan, plan_key, read_kept
from teal.release.job_transfer import transfer_jobs
from teal.release.rollback import rollback
from teal.release.runner import resume
from teal.release.serving import require_answer
from teal.release.steps.color import put


@dataclass(frozen=True, slots=True)
class Finding:
    """One inconsistency, and how repair mends it."""

    what: str
    will: str
    mend: Callable[[], Iterator[Event]]

    def fields(self) -> dict[str, str]:
        return {"found": self.what, "will": self.will}


def repair(target: Target) -> Iterator[tuple[Finding, Iterator[Event]]]:
    """Yield each finding with the work that mends it; the caller shows the finding and decides whether to run the work. The
    target is examined again after each, because mending one often mends others. Raises HeldByAnother while a releaser lives, and
    at the end NeedsHuman when the active color does not answer."""
    seen: set[str] = set()
    while finding := next((one for one in _examined(target) if one.what not in seen), None):
        seen.add(finding.what)
        yield finding, finding.mend()
    require_answer(target, target.store.read()[0].active, "Nothing of a release is left to repair")


def find_inconsistencies(target: Target) -> tuple[Finding, ...]:
    """All findings, worst first. Changes nothing. Raises HeldByAnother while a releaser lives."""
    return tuple(_examined(target))


def _examined(target: Target) -> Iterator[Finding]:
    """Yield the findings one by one. Checks that need a part that may be down come after those that can be mended without it."""
    record, _ = target.store.read()
    refuse_held(record, target.clock)
    yield from _pending(target)
    if record.release is not None:
        yield _unfinished(target, record)
        return  # during a release traffic and colors differ on purpose; other faults are found once it is over
    if record.lease is not None:
        yield Finding(f"{record.lease.holder} left its lease", "remove it", partial(_clear, target))
    active = record.active
    if active is not None:
        weights = target.traffic.read()
        if weights != all_to(active):
            yield Finding(f"{active} is active but has {weights.of(active)} % of the requests", f"give {active} all of them",
                          partial(_shift, target, active))  # fmt: skip
        for id in record.history:
            state = record.color(active)
            if state is not None and id != state.release_id and (left := _left(target, record, id)):
                yield Finding(
                    f"{left} jobs of {id} wait for a worker that is gone",
                    f"transfer them to {active}",
                    partial(_transfer, target, id),
                )
    for color in COLORS:
        running = target.runtime.replicas(color)
        if color != active and (running or record.color(color) is not None):
            yield Finding(f"{color} is not active and has {running} processes", f"end {color}", partial(_retire, target, color))


def _pending(target: Target) -> Iterator[Finding]:
    for color in COLORS:
        if pending := target.runtime.pending(color):
            yield Finding(f"{color}: {'; '.join(pending)}", "cancel and refresh the color's stack", partial(_mend, target, color))


def _unfinished(target: Target, record: Record) -> Finding:
    """The finding of an unfinished release: a promoted one is finished; any other is undone, or its undoing is completed."""
    release = record.release
    if release is None:
        raise OperatorError("No release is under way", where="the release record", next="teal history")
    what = f"release {release.id} was left at {release.step} ({release.phase})"
    try:
        lost = "is gone" if read_kept(ReleasePlan, target.store, plan_key(release.id)) is None else None
    except StoreFailed:
        lost = "cannot be read"
    if lost is not None:
        return Finding(
            f"{what} and its plan {lost}", f"forget it, and keep {record.active or 'no color'} active", partial(_clear, target)
        )
    if release.phase == "RollingBack":
        return Finding(what, "undo it to its end", partial(resume, target))
    if record.active == release.target:
        return Finding(what, f"finish it: {release.target} is active already", partial(resume, target))
    return Finding(
        what, f"undo it: all requests to {other(release.target) if record.active else 'nobody'}", partial(rollback, target)
    )


def _left(target: Target, record: Record, id: str) -> int:
    if record.active is None or (state := record.active_state) is None:
        return 0
    return int(target.runtime.admin(state, record.active, "jobs", "left", "--release", id)[0]["left"])


@contextmanager
def _held(target: Target) -> Iterator[LeaseHolder]:
    """Hold the lease while one finding is mended.
    It is released on failure too; otherwise the next try would have to wait for its end."""
    lease = LeaseHolder.take(target.store, target.clock, target.rules.lease_seconds, lambda record: record)
    try:
        yield lease
    except BaseException:
        with suppress(OperatorError):
            lease.drop(lambda record: record)
        raise


def _clear(target: Target) -> Iterator[Event]:
    with _held(target) as lease:
        lease.end(lambda record: record)
    yield Event("record", "ok", "no release is under way")


def _shift(target: Target, active: Color) -> Iterator[Event]:
    with _held(target) as lease:
        target.traffic.set(all_to(active), check=lease.guard)
        lease.end(lambda record: record)
    yield Event("traffic", "ok", f"all requests to {active}")


def _transfer(target: Target, id: str) -> Iterator[Event]:
    record, _ = target.store.read()
    if record.active is None or (state := record.active_state) is None:
        return
    clock = target.clock
    with _held(target) as lease:
        deadline = clock.monotonic() + target.rules.jobs_seconds
        while True:
            lease.during(partial(transfer_jobs, partial(target.runtime.admin, state, record.active), id, state.release_id))
            left = lease.during(partial(_left, target, record, id))
            if left == 0:
                break
            if clock.monotonic() >= deadline:
                raise NeedsHuman(f"{left} jobs of {id} can not be transferred", where=f"release {id}", next="teal logs worker")
            clock.sleep(target.rules.poll_seconds)
        lease.end(lambda found: found)
    yield Event("jobs", "ok", f"jobs of {id} are with {record.active}")


def _retire(target: Target, color: Color) -> Iterator[Event]:
    with _held(target) as lease:
        record = lease.check()
        if record.active == color or record.release is not None:
            raise OperatorError(f"{color} is in use by now", where="the release record", next="teal repair")
        if record.active is not None and target.traffic.read().of(color):
            raise NeedsHuman(f"{color} has requests again", where="load balancer", next="teal repair")
        for event in target.runtime.retire(color):
            lease.keep()
            yield event
        lease.end(lambda found: put(found, color, None))
    yield Event("retire", "ok", f"{color} is empty")


def _mend(target: Target, color: Color) -> Iterator[Event]:
    with _held(target) as lease:  # two repairs at once would cancel each other's refresh
        for event in target.runtime.mend(color):
            lease.keep()
            yield event
        lease.drop(lambda record: record)  # an unfinished release stays; it is the next finding
