"""The first step: checks whether a release may begin. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from teal.errors import NeedsHuman, OperatorError
from teal.events import Event
from teal.ports.runtime import Readiness
from teal.ports.target import Target
from teal.ports.traffic import all_to
from teal.record.model import Color, Record
from teal.record.releases import PlannedStep
from teal.release.context import ReleaseRun, shares_json
from teal.release.steps.step import Step

NAME: Final = "preflight"
_LOOKS: Final = 3  # this many late answers in a row are no accident
_PAUSE_SECONDS: Final = 2.0
Ask = Callable[..., list[dict[str, Any]]]


def preflight(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    yield from examine_colors(run.target, run.new, run.old)
    record = run.lease.check()
    if run.old is None or (state := record.color(run.old)) is None:
        return
    ask = partial(run.admin, state, run.old)
    if has_snapshot(run.target, ask):
        yield Event(step.name, "progress", "a recent snapshot passed its test")
        return
    yield Event(step.name, "progress", "no snapshot has passed its test yet: taking one, and restoring it for a test")
    taken = str(ask("snapshot")[-1]["id"])
    tested = ask("verify", "--snapshot", taken)[-1]
    yield Event(step.name, "progress", f"snapshot {taken} is good: {tested.get('detail', 'restored and compared')}")


def rehearsed(target: Target, record: Record, new: Color) -> None:
    """Raise the errors that `preflight` would raise now, without changing anything; for `--dry-run`."""
    if record.color(new) is not None:
        raise NeedsHuman(f"{new} should be empty and is in the record", where="the release record", next="teal repair")
    for _ in examine_colors(target, new, record.active):
        pass
    if record.active is not None and (state := record.active_state) is not None:
        has_snapshot(target, partial(target.runtime.admin, state, record.active))  # if there is no snapshot, a release takes one


def examine_colors(target: Target, new: Color, old: Color | None) -> Iterator[Event]:
    """Check the colors and the shares by asking the runtime and the load balancer. Raises NeedsHuman, OperatorError."""
    for color in (new, *((old,) if old else ())):
        if pending := target.runtime.pending(color):
            raise NeedsHuman(f"{color}: {'; '.join(pending)}", where=f"runtime of {color}", next="teal repair")
    if running := target.runtime.replicas(new):
        raise NeedsHuman(f"{new} should be empty and runs {running} processes", where=f"runtime of {new}", next="teal repair")
    if old is None:
        return
    found = target.traffic.read()
    if found != all_to(old):
        raise NeedsHuman(f"{old} is active but has {found.of(old)} % of the requests", where="load balancer", next="teal repair")
    ready = _readiness(target, old)
    if not ready.complete:
        raise OperatorError(
            f"The active color is not whole: {ready.ready} of {ready.wanted} are ready. {ready.reason}",
            where=old,
            next="teal status",
        )
    yield Event(NAME, "progress", f"{old} is whole ({ready.ready} processes) and has all requests", data=shares_json(found))


def _readiness(target: Target, color: Color) -> Readiness:
    """The color's readiness, read again when it is incomplete, because on a busy machine one answer may be late."""
    for _ in range(_LOOKS - 1):
        if (ready := target.runtime.readiness(color)).complete:
            return ready
        target.clock.sleep(_PAUSE_SECONDS)
    return target.runtime.readiness(color)


def has_snapshot(target: Target, ask: Ask) -> bool:
    """Whether a recent snapshot passed its test, because a release may need a restore. False when none ever did. Raises
    OperatorError when the newest tested one is too old:
    the regular snapshots then fail, and a release that took its own would hide that."""
    hours = target.rules.snapshot_hours
    if not hours:
        return True
    tested = [row for row in ask("snapshots") if row.get("verified_at")]
    age = min((float(row["age_seconds"]) / 3600 for row in tested), default=None)
    if age is not None and age > hours:
        raise OperatorError(
            f"The newest snapshot that passed its test is {age:.0f} h old, not {hours:g}",
            where="snapshots",
            next="teal snapshot && teal verify; then teal release again",
        )
    return age is not None


PREFLIGHT: Final = Step(
    NAME,
    "check the record, the shares, the active color, that the idle one is empty, and that a snapshot passed its test (the first is taken now)",
    preflight,
)
