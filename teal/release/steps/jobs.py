"""The step that hands the old color's ingestion jobs to the new one: a worker finishes only the jobs of its own release."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from teal.errors import AdminFailed, NeedsHuman
from teal.events import Event
from teal.record.model import Color
from teal.record.releases import PlannedStep
from teal.release.context import ReleaseRun
from teal.release.job_transfer import transfer_jobs
from teal.release.steps.step import Step


def transfer(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    if run.old is not None and run.plan.replaces is not None:
        yield from give_jobs(run, run.old, run.new, run.plan.replaces.release_id)


def give_jobs(run: ReleaseRun, leaving: Color, staying: Color | None, release_id: str) -> Iterator[Event]:
    """Transfer every job of a release to the color that stays, until none is left. Raises NeedsHuman after `jobs_seconds`."""
    record = run.lease.check()
    state = record.color(staying) if staying else None
    if staying is None or state is None:
        return  # a first release: its jobs wait for the next one
    clock = run.target.clock
    deadline = clock.monotonic() + run.target.rules.jobs_seconds
    while True:
        try:
            rows = transfer_jobs(partial(run.admin, state, staying), release_id, state.release_id)
            left = int(run.admin(state, staying, "jobs", "left", "--release", release_id)[0]["left"])
        except AdminFailed as error:  # a process of the leaving color still adds jobs, or the database is busy
            left, said = -1, error.what
        else:
            said = f"{sum(int(row.get('moved', 0)) for row in rows)} jobs of {leaving} to {staying}, {left} left"
        yield Event("jobs", "progress", said)
        if left == 0:
            return
        if clock.monotonic() >= deadline:
            raise NeedsHuman(
                f"Jobs of {leaving} can not be transferred: {said}", where=f"release {release_id}", next="teal repair"
            )
        run.wait()


JOB_TRANSFER: Final = Step(
    "job-transfer",
    "jobs of {active} to {target}, until none is left",
    transfer,
    takes_back="jobs of {target} to {active}",  # when its deployment is undone
    leaves_on_failure=True,
    formerly=("re-home",),
)
