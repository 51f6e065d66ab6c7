"""The steps that shift traffic to the new color, and their undo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from teal.events import Event
from teal.ports.traffic import all_to, weights_after_shift
from teal.record.file import StoreFailed
from teal.record.releases import PlannedStep
from teal.release.context import ReleaseRun, shares_json
from teal.release.steps.step import Step


def shift(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    weights = weights_after_shift(run.new, step.percent or 0)
    run.set_shares(weights)
    yield Event(step.name, "progress", f"{step.percent} % to {run.new}", data=shares_json(weights))


def give_back(run: ReleaseRun) -> Iterator[Event]:
    """Give all requests to the old color. This works even if the store is down,
    as long as no other process can have taken the lease."""
    if run.old is None:
        return
    try:
        run.set_shares(all_to(run.old))
    except StoreFailed:
        if not run.lease.fresh:
            raise
        run.target.traffic.set(all_to(run.old))
    yield Event("give-back", "warn", f"all requests to {run.old}", data=shares_json(all_to(run.old)))


def promote(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    run.lease.change(lambda record: record.model_copy(update={"active": run.new}), generation=True)
    yield Event(step.name, "progress", f"{run.new} is active")


def undo_promote(run: ReleaseRun) -> Iterator[Event]:
    run.lease.change(lambda record: record.model_copy(update={"active": run.old}), generation=True)
    yield Event("promote", "warn", f"{run.old or 'no color'} is active again")


SHIFT: Final = Step("shift", "{percent} % of the requests to {target}", shift, takes_back="{back}", undo=give_back)
PROMOTE: Final = Step(
    "promote", "{target} is the active color", promote, takes_back="{before} is the active color again", undo=undo_promote
)
