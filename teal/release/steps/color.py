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
    """Raise the new color's minimum of processes to the old color's current number, which carries the present load."""
    runs = run.target.runtime.replicas(run.old) if run.old else 0
    floor = max(run.plan.state.replica_floor, runs)
    run.lease.change(
        lambda record: put(record, run.new, (record.color(run.new) or run.plan.state).model_copy(update={"replica_floor": floor}))
    )
    yield Event(step.name, "progress", f"at least {floor} processes")


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
    "minimum replicas of {target} = what {active} runs now",
    raise_floor,
    takes_back="with the color",  # the floor is part of the color's state, which ends with the release
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
