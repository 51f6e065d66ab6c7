"""The steps that deploy the new color and retire the old one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from teal.errors import OperatorError
from teal.events import Event
from teal.record.model import Color, ColorState, Record
from teal.record.releases import PlannedStep
from teal.release.context import ReleaseRun
from teal.release.steps.jobs import give_jobs, transfer
from teal.release.steps.step import Step


def raise_floor(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    """Raise both colors' minimum of processes to the old color's current number, which carries the present load. The old color has
    less and less to do during the release, and must be able to take everything back at once."""
    runs = run.target.runtime.replicas(run.old) if run.old else 0
    floor = max(run.plan.state.replica_floor, runs)
    if run.old:
        run.target.runtime.keep_at_least(run.old, floor)
    run.lease.change(
        lambda record: put(record, run.new, (record.color(run.new) or run.plan.state).model_copy(update={"replica_floor": floor}))
    )
    yield Event(step.name, "progress", f"at least {floor} processes")


def undo_raise_floor(run: ReleaseRun) -> Iterator[Event]:
    """Let the old color's autoscaler decide again. The new one's minimum is part of its state, which ends with the release."""
    if run.old:
        least = run.target.rules.least_processes
        run.target.runtime.keep_at_least(run.old, least)
        yield Event("raise-floor", "warn", f"at least {least} processes of {run.old} again")


def lower_floor(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    """Let the new color's autoscaler decide from now on: the load that it was made for passes."""
    least = run.target.rules.least_processes
    run.target.runtime.keep_at_least(run.new, least)
    run.lease.change(lambda record: put(record, run.new, run.state().model_copy(update={"replica_floor": least})))
    yield Event(step.name, "progress", f"at least {least} processes")


def deploy(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    for event in run.target.runtime.deploy(run.new, run.state()):
        run.lease.keep()
        yield event


def undo_deploy(run: ReleaseRun) -> Iterator[Event]:
    """Transfer the new color's jobs, retire it, and transfer the jobs again that it added meanwhile."""
    yield from give_jobs(run, run.new, run.old, run.plan.id)
    for event in run.target.runtime.retire(run.new):
        run.lease.keep()
        yield event
    yield from give_jobs(run, run.new, run.old, run.plan.id)


def ready(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    clock = run.target.clock
    deadline = clock.monotonic() + run.target.rules.ready_seconds
    while not (found := run.target.runtime.readiness(run.new)).complete:
        if clock.monotonic() >= deadline:
            raise OperatorError(
                f"{run.new} is not ready: {found.ready} of {found.wanted}. {found.reason}", where=run.new, next="teal logs app"
            )
        yield Event(step.name, "progress", found.reason, done=found.ready, total=found.wanted)
        run.wait()


def retire(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    if run.old is None:
        return
    if share := run.target.traffic.read().of(run.old):  # a rollback returns the traffic before it writes the record
        raise OperatorError(f"{run.old} has {share} % of the requests again", where="load balancer", next="teal history")
    for event in run.target.runtime.retire(run.old):
        run.lease.keep()
        yield event
    yield from transfer(run, step)  # jobs that it added between the last transfer and its end
    old = run.old
    run.lease.change(lambda record: put(record, old, None))


def put(record: Record, color: Color, state: ColorState | None) -> Record:
    return record.model_copy(update={color: state})


RAISE_FLOOR: Final = Step(
    "raise-floor",
    "minimum replicas of both colors = what {active} runs now",
    raise_floor,
    takes_back="minimum replicas of {before} = {rules.least_processes}",
    undo=undo_raise_floor,
)
DEPLOY: Final = Step(
    "deploy",
    "processes and worker of {target}",
    deploy,
    takes_back="transfer the jobs of {target}, then retire it",
    undo=undo_deploy,
)
READY: Final = Step("ready", "every process of {target} answers /readyz", ready)
RETIRE: Final = Step(
    "retire",
    "end {active}",
    retire,
    takes_back="none: release its image again",
    reversible=False,
    leaves_on_failure=True,
)
LOWER_FLOOR: Final = Step(
    "lower-floor",
    "minimum replicas of {target} = {rules.least_processes}",
    lower_floor,
    takes_back="none: {active} is gone",
    reversible=False,
    leaves_on_failure=True,
)
