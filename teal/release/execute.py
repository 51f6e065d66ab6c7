"""Makes a release: takes the lease, walks the plan, and when anything fails gives the traffic back first and undoes what was done."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from teal.errors import BadInput, NeedsHuman, OperatorError
from teal.record import ColorState, Record, Underway
from teal.record_file import StoreFailed
from teal.release import plan
from teal.release.evidence import evident
from teal.release.history import document_key, outcome_key, read_document, require_same
from teal.release.ledger import Ledger, Superseded, change, expired, refuse_held, refuse_unfinished, require_underway, who
from teal.release.plan import Document, Outcome
from teal.release.run import Run
from teal.release.steps import STEPS, give_back
from teal.release.target import Image, Target
from teal.release.watch import phase
from teal.stack.events import Event

HISTORY = 20  # ids kept in the record; the objects stay


@dataclass(frozen=True, slots=True)
class Wish:
    """What to release: the tree at `path` (labelled `label`), or the known `image`; with a search index of its own or not."""

    path: Path
    label: str | None = None
    image: str | None = None
    reindex: bool = False


class ReleaseFailed(OperatorError):
    """A release failed and was undone: the active color has all requests, the new one is gone."""

    code = "release-failed"


def preview(target: Target, wish: Wish) -> tuple[plan.Step, ...]:
    """The steps of a release now; builds, writes and calls nothing that changes anything. Raises what a release would refuse with."""
    record, _ = target.store.read()
    refuse_unfinished(record, target.clock)
    if wish.image is not None:
        target.images.known(wish.image)
    return plan.steps(record, target.rules, reindex=wish.reindex)


def release(target: Target, wish: Wish) -> Iterator[Event]:
    """From an image to the active color. Raises Held, NeedsHuman, BadInput before anything changed; ReleaseFailed after it was undone;
    Undecided (exit 4) after it was undone because nobody decided."""
    record, _ = target.store.read()
    refuse_unfinished(record, target.clock)
    if wish.image is not None:
        image = target.images.known(wish.image)
    else:
        yield Event("build", "start", f"an image of {wish.path}")
        image = target.images.build(wish.path, wish.label)
        yield Event("build", "ok", f"{image.label} {image.id}")
    document = _document(target, wish, image)
    run = _begin(target, document)
    yield from evident(run, "release", _walk(run, 0))


def resume(target: Target) -> Iterator[Event]:
    """Go on: a paused release that still runs is told to; one whose releaser died is continued where it was, or undone if it was being."""
    record, _ = target.store.read()
    require_underway(record)
    if record.release is not None and record.release.phase == "Paused" and not expired(record.lease, target.clock):
        change(target.store, partial(_unpaused, id=record.release.id))
        yield Event("resume", "ok", "the releaser that waits was told to go on")
        return
    refuse_held(record, target.clock)
    document = read_document(target, record)

    def take(found: Record) -> Record:
        require_same(found, document)
        return found

    run = Run(target, Ledger.take(target.store, target.clock, target.rules, take), document)
    now = run.ledger.check().release
    if now is None:
        raise Superseded(run.ledger.check())
    position = document.position(now.step)
    if now.phase == "RollingBack":
        yield from evident(run, "resume", undone(run, position, "it was being undone"))
        return
    run.ledger.change(lambda found: phase(found, "Progressing"))
    yield Event("resume", "ok", f"{document.id} from {now.step}")
    yield from evident(run, "resume", _walk(run, position))


def _unpaused(record: Record, id: str) -> Record:
    """Told to go on, unless it is not paused any more: one that began to be undone meanwhile must be undone to its end."""
    if record.release is None or record.release.id != id or record.release.phase != "Paused":
        raise Superseded(record)
    return phase(record, "Progressing")


def _document(target: Target, wish: Wish, image: Image) -> Document:
    record, _ = target.store.read()
    refuse_unfinished(record, target.clock)
    now = target.clock.now()
    id = f"r{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    active = record.active_state
    index = active.index if active else target.images.index()
    state = ColorState(
        release_id=id, image=image.id, label=image.label, config=target.images.config(), secret_versions=target.images.secret_versions(),
        index=f"{target.images.index()}-{id}" if wish.reindex else index, schema_min=image.schema_min, schema_max=image.schema_max,
        replica_floor=active.replica_floor if active else target.rules.first_floor,
    )  # fmt: skip
    return Document(id=id, target=plan.idle(record), previous=record.active, state=state, replaces=active, reindex=wish.reindex,
                    steps=plan.steps(record, target.rules, reindex=wish.reindex), who=who(), started_at=now)  # fmt: skip


def _begin(target: Target, document: Document) -> Run:
    """Take the lease; the document is written first, so that whoever finds the release finds its plan."""
    target.store.create(document_key(document.id), document.model_dump_json(indent=1).encode())

    def take(record: Record) -> Record:
        refuse_unfinished(record, target.clock)
        if record.active != document.previous:
            raise OperatorError("Another release ended meanwhile", where="the release record", next="teal release again")
        if record.color(document.target) is not None:
            raise NeedsHuman(
                f"{document.target} should be empty and is in the record", where="the release record", next="teal repair"
            )
        underway = Underway(
            id=document.id,
            target=document.target,
            step=document.steps[0].name,
            phase="Progressing",
            started_at=document.started_at,
        )
        history = (document.id, *record.history)[:HISTORY]
        return record.model_copy(update={"release": underway, document.target: document.state, "history": history})

    return Run(target, Ledger.take(target.store, target.clock, target.rules, take), document)


def _walk(run: Run, position: int) -> Iterator[Event]:
    """The steps from `position`. On failure, Ctrl-C and a closed generator: undone, unless the old color is already going."""
    failure: BaseException | None = None
    steps, reached, over = run.document.steps, position, False
    try:
        for reached, step in enumerate(steps[position:], position):  # noqa: B007 - failures below say where
            run.ledger.change(partial(at, step=step.name))
            yield run.told(Event(step.name, "start", step.says))
            for event in STEPS[step.action][0](run, step):
                yield run.told(event)
            yield run.told(Event(step.name, "ok"))
        over = True
        yield from ended(run, "Healthy", "every step passed")
        return
    except Superseded:
        raise
    except GeneratorExit:
        run.stopped = True
        if not over and reached >= _finishing(run.document):
            _leave(run)
        elif not over:
            with suppress(Superseded):
                list(undone(run, reached, "the releaser was stopped"))
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it was, users come first
        failure = error
    reason = failure.what if isinstance(failure, OperatorError) else f"{type(failure).__name__}: {failure}".rstrip(": ")
    said = run.told(Event(steps[reached].name, "warn", reason, data={"failed": True}))
    if over or reached >= _finishing(run.document):
        _leave(run)
        raise NeedsHuman(f"{run.document.target} serves everybody, but {steps[reached].name} failed: {reason}",
                         where=run.document.id, next="teal resume") from failure  # fmt: skip
    yield from undone(run, reached, reason)  # traffic first, words after
    if not run.stopped:
        yield said
    if isinstance(failure, NeedsHuman | BadInput):
        raise failure
    raise ReleaseFailed(f"Release {run.document.id} failed at {steps[reached].name} and was undone: {reason}",
                        where=failure.where if isinstance(failure, OperatorError) else steps[reached].name,
                        next=failure.next if reached == 0 and isinstance(failure, OperatorError) else "teal history") from failure  # fmt: skip


def _leave(run: Run) -> None:
    """Leave the release where it is, for `teal resume`; a store that is down keeps the lease until it ends by itself."""
    with suppress(StoreFailed):
        run.ledger.drop(lambda record: phase(record, "Degraded"))


def undone(run: Run, position: int, reason: str) -> Iterator[Event]:
    """Undo the steps up to `position`, traffic first. Raises NeedsHuman when that fails, with the record saying where it is."""
    work = _undo(run, position)
    try:
        for event in work:
            try:
                yield run.told(event)
            except GeneratorExit:  # whoever listened is gone (Ctrl-C, a closed pipe): undo to the end all the same
                run.stopped = True
                for _ in work:
                    pass
                break
    except Superseded:
        raise
    except OperatorError as error:
        raise NeedsHuman(
            f"Undoing {run.document.id} ({reason}) stopped: {error.what}", where=error.where, next="teal repair"
        ) from error
    for event in ended(run, "Degraded", reason):
        if not run.stopped:
            yield event


def _undo(run: Run, position: int) -> Iterator[Event]:
    actions = list(dict.fromkeys(step.action for step in run.document.steps[: position + 1]))
    if "shift" in actions:
        yield from give_back(run)
    run.ledger.change(lambda record: phase(record, "RollingBack"))
    for action in reversed(actions):
        if STEPS[action][1] is not give_back:  # done, first of all
            yield from STEPS[action][1](run)


def ended(run: Run, how: str, reason: str) -> Iterator[Event]:
    """Close the record; how it ended is kept beside the document."""
    leaving = run.new if how == "Degraded" else None
    run.ledger.end(lambda record: record.model_copy(update={leaving: None}) if leaving else record)
    outcome = Outcome(
        id=run.document.id,
        phase="Healthy" if how == "Healthy" else "Degraded",
        reason=reason,
        who=who(),
        ended_at=run.target.clock.now(),
    )
    try:
        run.target.store.create(outcome_key(run.document.id), outcome.model_dump_json(indent=1).encode())
    except OperatorError as error:
        yield run.told(Event("outcome", "warn", error.what))
    active = run.new if how == "Healthy" else run.old
    yield run.told(Event("done", "ok" if how == "Healthy" else "warn", f"{active or 'no color'} is active: {reason}",
                         data={"phase": how, "release": run.document.id}))  # fmt: skip


def at(record: Record, step: str) -> Record:
    """The record with its release at that step, going on."""
    if record.release is None:
        return record
    return record.model_copy(update={"release": record.release.model_copy(update={"step": step, "phase": "Progressing"})})


def _finishing(document: Document) -> int:
    """The first step after which a failure no longer gives the traffic back: the new color has proven itself."""
    return next((number for number, step in enumerate(document.steps) if step.action == "re-home"), len(document.steps))
