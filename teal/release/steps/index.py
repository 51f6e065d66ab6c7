"""The steps that give a release a search index of its own: built beside the old one, compared with it, and the old one removed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from teal.events import Event
from teal.record.model import Color, ColorState
from teal.record.releases import PlannedStep
from teal.release.context import ReleaseRun
from teal.release.steps.step import Step


def build_index(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    """Build the index in calls of some seconds each, which return how many documents are left; the lease is renewed in between.
    From the first call on, new documents are written to both indexes.
    A resumed release goes on with the documents that are left."""
    state, done = run.state(), 0
    while True:
        row = run.admin(state, run.new, "index", "build", "--name", state.index)[-1]
        done, left = done + int(row["done"]), int(row["left"])
        yield Event(step.name, "progress", f"{state.index}: {row['detail']}", done=done, total=done + left)
        if left == 0:
            return
        run.wait()


def undo_build_index(run: ReleaseRun) -> Iterator[Event]:
    """Remove the index. No color reads it, but while it is registered the worker has to write every new document to it."""
    if run.old is not None and (staying := run.lease.check().color(run.old)) is not None:
        yield from remove_index(run, staying, run.old, run.plan.state.index)


def verify_index(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    state = run.state()
    against = ("--against", run.plan.replaces.index) if run.plan.replaces else ()
    for row in run.admin(state, run.new, "index", "verify", "--name", state.index, *against):
        yield Event(step.name, "progress", str(row["detail"]))


def drop_index(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    if run.plan.replaces is not None:
        yield from remove_index(run, run.state(), run.new, run.plan.replaces.index)


def remove_index(run: ReleaseRun, state: ColorState, color: Color, index: str) -> Iterator[Event]:
    """Remove an index by a command of the color that stays, which does not read it."""
    row = run.admin(state, color, "index", "drop", "--name", index)[-1]
    yield Event("index", "progress", f"{index} is removed" if row["dropped"] else f"{index} was not there")


BUILD_INDEX: Final = Step(
    "build-index",
    "build a new search index from the catalog, beside the old one; new documents go into both from here on",
    build_index,
    takes_back="it is removed",
    undo=undo_build_index,
)
VERIFY_INDEX: Final = Step("verify-index", "compare it with the catalog, and sample queries with the old one", verify_index)
DROP_INDEX: Final = Step(
    "drop-index",
    "remove the index that only {active} read",
    drop_index,
    takes_back="none: an index is built from the catalog",
    reversible=False,
    leaves_on_failure=True,
)
