"""The freeze: no release may begin until a person ends it.
Rollback, abort, resume and repair still work, because users come first."""

from __future__ import annotations

from collections.abc import Iterator

from teal.errors import BadInput, HeldByAnother
from teal.events import Event
from teal.ports.target import Target
from teal.record.lease import change
from teal.record.model import Freeze, Record
from teal.record.person import person_name


def freeze(target: Target, message: str) -> Iterator[Event]:
    """From now on releases are refused with this message. A release that is under way is not stopped. Raises BadInput for an empty one."""
    if not message.strip():
        raise BadInput(
            "A freeze says why, for whoever wants to release", where="teal freeze", next='teal freeze -m "why, and until when"'
        )
    made = Freeze(message=message.strip(), who=person_name(), since=target.clock.now())
    record, _ = change(target.store, lambda found: found.model_copy(update={"freeze": made}))
    yield Event("freeze", "ok", f"no release begins: {made.message}")
    if record.release is not None:
        yield Event(
            "freeze", "warn", f"{record.release.id} is under way at {record.release.step}, and goes on; `teal abort` undoes it"
        )


def unfreeze(target: Target) -> Iterator[Event]:
    """Releases may begin again. Raises BadInput when there is no freeze."""

    def thaw(found: Record) -> Record:
        if found.freeze is None:
            raise BadInput("Releases are not frozen", where="the release record", next="teal release")
        return found.model_copy(update={"freeze": None})

    change(target.store, thaw)
    yield Event("freeze", "ok", "releases may begin")


def refuse_frozen(record: Record) -> None:
    """Raise HeldByAnother with the freeze's message while there is one."""
    if (found := record.freeze) is not None:
        raise HeldByAnother(f"Releases are frozen: {found.message} ({found.who}, since {found.since:%Y-%m-%d %H:%M} UTC)",
                   where="the release record", next="teal unfreeze, when the reason is over")  # fmt: skip
