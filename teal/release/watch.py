"""Follows a release from another terminal by reading the record, until it ends. It takes no lease and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from teal.errors import BadInput
from teal.events import Event
from teal.ports.target import Target
from teal.record.releases import ReleaseOutcome, outcome_key, read_kept, read_plan
from teal.release.context import shares_json

OUTCOME_SECONDS = 10.0  # between the record's last change and the outcome beside it: one write to the store


def watch(target: Target) -> Iterator[Event]:
    """Yield the steps of the release under way until it has ended. Raises BadInput when there is none."""
    record, _ = target.store.read()
    if record.release is None:
        raise BadInput("No release is under way", where="the release record", next="teal history")
    plan, id, seen = read_plan(target.store, record), record.release.id, ("", "")
    names = [step.name for step in plan.steps]
    yield Event("watch", "start", f"{id}: {plan.state.label or plan.state.image} to {plan.target}, by {plan.who}")
    while record.release is not None and record.release.id == id:
        now = record.release
        if (now.step, now.phase) != seen:
            seen = (now.step, now.phase)
            place = names.index(now.step) + 1 if now.step in names else 0
            data = shares_json(target.traffic.read())
            about = f"{now.phase}; {target.clock.now() - now.started_at!s:.7} since it began" + (
                f"; {now.note}" if now.note else ""
            )
            yield Event(now.step, "progress", about, done=place, total=len(names), data=data)
        target.clock.sleep(target.rules.poll_seconds)
        record, _ = target.store.read()
    yield _end(target, id)


def _end(target: Target, id: str) -> Event:
    deadline = target.clock.monotonic() + OUTCOME_SECONDS
    while (outcome := read_kept(ReleaseOutcome, target.store, outcome_key(id))) is None:
        if target.clock.monotonic() >= deadline:
            return Event("done", "warn", f"{id} is over, and how it ended was not written")
        target.clock.sleep(target.rules.poll_seconds)
    return Event(
        "done", "ok" if outcome.phase == "Healthy" else "warn", f"{outcome.phase}: {outcome.reason}", data={"release": id}
    )
