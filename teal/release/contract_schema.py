"""Contracts the schema: removes what only older releases needed. Never part of a release; refused while any color needs it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from teal.errors import BadInput, NeedsHuman
from teal.events import Event
from teal.ports.target import Target
from teal.record.lease import LeaseHolder, refuse_unfinished
from teal.record.model import Record
from teal.release.schema import needs_old_schema


def contract(target: Target, *, dry_run: bool = False) -> Iterator[Event]:
    """Run the migrations marked contract, from the active color's image. Holds the lease, so that no release can begin.

    Raises BadInput without an active color, HeldByAnother or NeedsHuman when a release is not over or a color can not serve what would be left.
    """
    record, _ = target.store.read()
    refuse_unfinished(record, target.clock)
    state = record.active_state
    if record.active is None or state is None:
        raise BadInput("No color is active, so there is nothing to contract for", where="the release record", next="teal release")
    found = target.runtime.admin(state, record.active, "schema")[0]
    waiting = [str(each) for each in found.get("contract", ())]
    head = str(found["head"])
    refuse_needed(record, head)
    if not waiting and str(found["revision"]) == head:
        yield Event("contract", "ok", f"nothing to do: the database is at {head}")
        return
    yield Event(
        "contract", "start", f"from {found['revision']} to {head}: {', '.join(waiting) or 'no revision is marked contract'}"
    )
    if dry_run:
        return

    def take(now: Record) -> Record:
        refuse_unfinished(now, target.clock)
        refuse_needed(now, head)
        return now

    lease = LeaseHolder.take(target.store, target.clock, target.rules.lease_seconds, take)
    try:
        rows = lease.during(partial(target.runtime.admin, state, record.active, "migrate", "--contract"))
    finally:
        lease.end(lambda now: now)
    yield Event("contract", "ok", f"the database is at {rows[-1]['revision'] if rows else head}")


def refuse_needed(record: Record, head: str) -> None:
    """Raise NeedsHuman, which names every color that needs the schema as it is."""
    if reasons := needs_old_schema(record, head):
        raise NeedsHuman(
            "; ".join(reasons),
            where="the schema of the catalog",
            next="teal release a version that serves it, then teal contract",
        )
