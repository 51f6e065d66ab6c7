"""Makes a release: takes the lease and runs the plan's steps.
When anything fails it first returns the traffic, then undoes the steps."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contract.steering import Steering
from teal.errors import BadInput, NeedsHuman, OperatorError
from teal.events import Event
from teal.ports.target import Image, Target
from teal.record.file import StoreFailed
from teal.record.lease import LeaseHolder, Superseded, change, is_expired, refuse_held, refuse_unfinished, require_underway
from teal.record.model import ColorState, Record, ReleaseUnderway
from teal.record.person import person_name
from teal.record.releases import (
    PlannedStep,
    ReleaseOutcome,
    ReleasePlan,
    outcome_key,
    past_releases,
    plan_key,
    read_plan,
    require_same,
)
from teal.record.source import ReleaseSource, compare_sources, read_source, source_key, source_of_image
from teal.release.announce import announce
from teal.release.canary import phase
from teal.release.context import ReleaseRun
from teal.release.evidence.excerpt import error_excerpt
from teal.release.evidence.folder import record_evidence
from teal.release.freeze import refuse_frozen
from teal.release.hooks import hooks_of
from teal.release.plan import UnknownStep, all_of, find, idle, planned_steps, position_of
from teal.release.promotion import require_promoted, tagged_source
from teal.release.serving import NEXT, reason_not_serving
from teal.release.steering import read_steering_file, read_stored, store_steering
from teal.release.steps.canary_analysis import PAUSE
from teal.release.steps.preflight import rehearsed
from teal.release.steps.traffic import give_back

MOST_SAID = 5  # differences of each kind shown in the terminal; the evidence has all
HISTORY = 20  # ids kept in the record; the objects stay


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """What to release: the tree at `path` (labelled `label`) or the known `image`. `reindex`: with a search index of its own."""

    path: Path
    label: str | None = None
    image: str | None = None
    reindex: bool = False
    source: ReleaseSource | None = None  # the source of the tree at `path`; None: taken from an earlier release of the same image
    returns_to: ColorState | None = None  # an earlier release's state, instead of all of the above; ignores a freeze


class ReleaseFailed(OperatorError):
    """A release failed and was undone: the active color has all requests, the new one is gone."""

    code = "release-failed"


def plan_steps(target: Target, request: ReleaseRequest) -> tuple[PlannedStep, ...]:
    """The steps that a release would have now. Changes nothing. Raises the errors with which a release would refuse to begin,
    including those of the preflight step."""
    record, _ = target.store.read()
    refuse_frozen(record)
    refuse_unfinished(record, target.clock)
    read_steering_file(target, os.environ)
    if request.image is not None:
        list(require_promoted(target.promotion(), target.images.known(request.image)))
    rehearsed(target, record, idle(record))
    return planned_steps(record, target.rules, reindex=request.reindex)


def release(target: Target, request: ReleaseRequest) -> Iterator[Event]:
    """Release an image, from the build to the promotion. Raises HeldByAnother, NeedsHuman, BadInput before anything changed;
    ReleaseFailed after a failed release was undone; Undecided (exit 4) after it was undone because nobody decided."""
    record, _ = target.store.read()
    if request.returns_to is None:
        refuse_frozen(record)
    refuse_unfinished(record, target.clock)
    steering = read_steering_file(target, os.environ)
    if known := request.returns_to.image if request.returns_to else request.image:
        image = target.images.known(known)
    else:
        yield Event("build", "start", f"an image of {request.path}")
        image = target.images.build(request.path, request.label)
        yield Event("build", "ok", f"{image.label} {image.id}")
    promoted = None
    if request.returns_to is None:  # what is returned to has served here already
        promoted = yield from require_promoted(target.promotion(), image)
    plan = _plan_of(target, request, image)
    if _changes_nothing(plan):
        yield Event(
            "build", "warn", f"{image.label} with this configuration is the active version already: users will see no difference"
        )
    yield from _said_of(target, request, plan, promoted or tagged_source(image))
    run = _begin(target, plan, steering, although_frozen=request.returns_to is not None)
    yield from record_evidence(run, "release", _walk(run, 0))


def resume(target: Target) -> Iterator[Event]:
    """Continue a release. A paused releaser is told to go on.
    If the releaser died, this process continues at its step, or completes its undoing."""
    record, _ = target.store.read()
    require_underway(record)
    if record.release is not None and record.release.phase == "Paused" and not is_expired(record.lease, target.clock):
        change(target.store, partial(_unpaused, id=record.release.id))
        yield Event("resume", "ok", "the releaser that waits was told to go on")
        return
    refuse_held(record, target.clock)
    plan = read_plan(target.store, record)
    all_of(plan, plan.steps)  # an unknown step is refused now, not half way
    steering = read_stored(target.store, plan.id)

    def take(found: Record) -> Record:
        require_same(found, plan)
        return found

    run = ReleaseRun(
        target, LeaseHolder.take(target.store, target.clock, target.rules.lease_seconds, take), plan, steering=steering
    )
    now = run.lease.check().release
    if now is None:
        raise Superseded(run.lease.check())
    position = position_of(plan, now.step)
    if now.phase == "RollingBack":
        yield from record_evidence(run, "resume", undo_steps(run, position, now.note or "it was being undone"))
        return
    if now.phase == "Paused" and find(plan, plan.steps[position]) is PAUSE:
        position += 1  # `teal resume` is the decision that the pause waited for
    run.lease.change(lambda found: phase(found, "Progressing"))
    yield Event("resume", "ok", f"{plan.id} from {now.step}")
    yield from record_evidence(run, "resume", _walk(run, position))


def _said_of(target: Target, request: ReleaseRequest, plan: ReleasePlan, elsewhere: ReleaseSource | None) -> Iterator[Event]:
    """Report the release's source and how it differs from the active release, before anything is done;
    the source is kept beside the plan. `elsewhere`: what is known of an image that was never released here."""
    source = request.source
    if source is None:
        _, past = past_releases(target.store)
        source = source_of_image(target.store, past, plan.state.image) or elsewhere
    if source is not None:
        target.store.create(source_key(plan.id), source.model_dump_json(indent=1).encode())
    before = read_source(target.store, plan.replaces.release_id) if plan.replaces else None
    made = compare_sources(plan, source, before)
    said = [source.said() or "no commit is known" if source else "nothing is known of what it was made from"]
    said += [
        f"{name}: {'; '.join(found[:MOST_SAID])}{', ...' if found[MOST_SAID:] else ''}"
        for name in ("configuration", "packages")
        if (found := made[name])
    ]
    yield Event("source", "ok", ". ".join(said), data=made)


def _changes_nothing(plan: ReleasePlan) -> bool:
    """Whether the active color already has the same image, configuration, secrets and index."""
    new, active = plan.state, plan.replaces
    return active is not None and (new.image, dict(new.config), dict(new.secret_versions), new.index) == (
        active.image, dict(active.config), dict(active.secret_versions), active.index)  # fmt: skip


def _unpaused(record: Record, id: str) -> Record:
    """The record with its release set to go on, if it is still paused.
    A release that is being undone must be undone to its end."""
    if record.release is None or record.release.id != id or record.release.phase != "Paused":
        raise Superseded(record)
    return phase(record, "Progressing")


def _plan_of(target: Target, request: ReleaseRequest, image: Image) -> ReleasePlan:
    record, _ = target.store.read()
    refuse_unfinished(record, target.clock)
    now = target.clock.now()
    id = f"r{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    active = record.active_state
    index = active.index if active else target.images.index()
    before = request.returns_to
    state = ColorState(
        release_id=id, image=image.id, label=before.label if before else image.label, config=before.config if before else target.images.config(), secret_versions=target.images.secret_versions(),
        index=f"{target.images.index()}-{id}" if request.reindex else index, schema_min=image.schema_min, schema_max=image.schema_max,
        replica_floor=target.rules.least_processes,
    )  # fmt: skip
    return ReleasePlan(id=id, target=idle(record), previous=record.active, state=state, replaces=active, reindex=request.reindex,
                    steps=planned_steps(record, target.rules, reindex=request.reindex), who=person_name(), started_at=now)  # fmt: skip


def _begin(target: Target, plan: ReleasePlan, steering: Steering, *, although_frozen: bool) -> ReleaseRun:
    """Write the plan, then take the lease: a process that reads the release in the record always finds its plan."""
    target.store.create(plan_key(plan.id), plan.model_dump_json(indent=1).encode())
    store_steering(target.store, plan.id, steering)

    def take(record: Record) -> Record:
        if not although_frozen:
            refuse_frozen(record)
        refuse_unfinished(record, target.clock)
        if record.active != plan.previous:
            raise OperatorError("Another release ended meanwhile", where="the release record", next="teal release again")
        if record.color(plan.target) is not None:
            raise NeedsHuman(
                f"{plan.target} should be empty and is in the record", where="the release record", next="teal repair"
            )
        underway = ReleaseUnderway(
            id=plan.id,
            target=plan.target,
            step=plan.steps[0].name,
            phase="Progressing",
            started_at=plan.started_at,
        )
        history = (plan.id, *record.history)[:HISTORY]
        return record.model_copy(update={"release": underway, plan.target: plan.state, "history": history})

    run = ReleaseRun(
        target, LeaseHolder.take(target.store, target.clock, target.rules.lease_seconds, take), plan, steering=steering
    )
    announce(run, "start", f"begins: to {plan.target}, in place of {plan.previous or 'nothing'}, by {plan.who}")
    return run


def _walk(run: ReleaseRun, position: int) -> Iterator[Event]:
    """Run the steps from `position`. On failure, Ctrl-C or a closed generator the release is undone,
    unless the old color is already being retired."""
    failure: BaseException | None = None
    steps, reached, over = run.plan.steps, position, False
    try:
        for reached, step in enumerate(steps[position:], position):  # noqa: B007 - failures below say where
            run.lease.change(partial(record_at_step, step=step.name))
            yield run.told(Event(step.name, "start", step.says))
            for event in _with_hooks(run, step):
                if event.data.get("phase") == "Paused":
                    announce(run, "pause", f"is paused at {step.name}: {event.detail}")
                yield run.told(event)
            yield run.told(Event(step.name, "ok"))
        over = True
        yield from close_release(run, "Healthy", "every step passed")
        return
    except Superseded:
        raise
    except GeneratorExit:
        run.stopped = True
        if not over and find(run.plan, steps[reached]).leaves_on_failure:
            _leave(run)
        elif not over:
            with suppress(Superseded):
                list(undo_steps(run, reached, "the releaser was stopped"))
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - after any error the users' traffic comes first
        failure = error
    reason = failure.what if isinstance(failure, OperatorError) else f"{type(failure).__name__}: {failure}".rstrip(": ")
    said = run.told(Event(steps[reached].name, "warn", reason, data={"failed": True}))
    if over or find(run.plan, steps[reached]).leaves_on_failure:
        _leave(run)
        raise NeedsHuman(f"{run.plan.target} serves everybody, but {steps[reached].name} failed: {reason}",
                         where=run.plan.id, next="teal resume") from failure  # fmt: skip
    yield from undo_steps(run, reached, reason)  # traffic first, message after
    if not run.stopped:
        yield said
    if isinstance(failure, NeedsHuman | BadInput):
        raise failure
    raise ReleaseFailed(f"Release {run.plan.id} failed at {steps[reached].name} and was undone: {reason}",
                        where=failure.where if isinstance(failure, OperatorError) else steps[reached].name,
                        next=failure.next if reached == 0 and isinstance(failure, OperatorError) else "teal history") from failure  # fmt: skip


def _with_hooks(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    yield from hooks_of(run, step, "before")
    yield from find(run.plan, step).do(run, step)
    yield from hooks_of(run, step, "after")


def _leave(run: ReleaseRun) -> None:
    """Leave the release at its step, for `teal resume`. If the store is down, the lease stays until it expires."""
    with suppress(StoreFailed):
        run.lease.drop(lambda record: phase(record, "Degraded"))


def undo_steps(run: ReleaseRun, position: int, reason: str) -> Iterator[Event]:
    """Undo the steps up to `position`, traffic first. Raises NeedsHuman when that fails, with the step in the record, and when
    the previous color does not answer afterwards; the release is then not reported as undone."""
    work = _undo(run, position, reason)
    try:
        for event in work:
            try:
                yield run.told(event)
            except GeneratorExit:  # the reader of the events is gone (Ctrl-C, a closed pipe): undo to the end without it
                run.stopped = True
                for _ in work:
                    pass
                break
    except (Superseded, UnknownStep):
        raise
    except OperatorError as error:
        announce(run, "undo", f"could not be undone to its end: {error.what}. Next: teal repair")
        raise NeedsHuman(
            f"Undoing {run.plan.id} ({reason}) stopped: {error.what}", where=error.where, next="teal repair"
        ) from error
    said = reason_not_serving(run.target, run.old) if run.old else ""
    for event in close_release(run, "Degraded", f"{reason}; afterwards {run.old} did not answer: {said}" if said else reason):
        if not run.stopped:
            yield event
    if said:
        raise NeedsHuman(
            f"{run.new} of {run.plan.id} was taken away ({reason}), but {run.old} does not answer: {said}",
            where=str(run.old),
            next=NEXT,
        )


def _undo(run: ReleaseRun, position: int, reason: str) -> Iterator[Event]:
    """Return the traffic, then run the undo of each kind of step that was begun, newest first."""
    begun = list(dict.fromkeys(all_of(run.plan, run.plan.steps[: position + 1])))
    if any(step.undo is give_back for step in begun):
        yield from give_back(run)
    announce(run, "undo", f"is being undone: {reason}")
    yield from error_excerpt(run)  # now, while its logs still exist
    run.lease.change(lambda record: phase(record, "RollingBack"))
    for step in reversed(begun):
        if step.undo is not give_back:
            yield from step.undo(run)


def close_release(run: ReleaseRun, how: str, reason: str) -> Iterator[Event]:
    """End the release in the record, and keep its outcome beside the plan."""
    leaving = run.new if how == "Degraded" else None
    run.lease.end(lambda record: record.model_copy(update={leaving: None}) if leaving else record)
    outcome = ReleaseOutcome(
        id=run.plan.id,
        phase="Healthy" if how == "Healthy" else "Degraded",
        reason=reason,
        who=person_name(),
        evidence=run.evidence,
        ended_at=run.target.clock.now(),
    )
    try:
        run.target.store.create(outcome_key(run.plan.id), outcome.model_dump_json(indent=1).encode())
    except OperatorError as error:
        yield run.told(Event("outcome", "warn", error.what))
    active = run.new if how == "Healthy" else run.old
    announce(
        run,
        "done",
        f"is over, {how}: {active or 'no color'} is active: {reason}. {run.target.evidence_url(run.evidence) if run.evidence else ''}".rstrip(),
    )
    yield run.told(Event("done", "ok" if how == "Healthy" else "warn", f"{active or 'no color'} is active: {reason}",
                         data={"phase": how, "release": run.plan.id}))  # fmt: skip


def record_at_step(record: Record, step: str) -> Record:
    """The record with its release at that step, in the phase Progressing."""
    if record.release is None:
        return record
    return record.model_copy(update={"release": record.release.model_copy(update={"step": step, "phase": "Progressing"})})
