"""Whether the laptop's data files themselves were lost: whoever has a deleted file open goes on with it and must begin anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from teal.backup.flow import Work, active
from teal.errors import OperatorError
from teal.release.target import Target
from teal.stack.events import Event
from teal.stack.layout import Layout, load
from teal.stack.parts import DEFAULT_INDEX
from teal.stack.secrets import service_secrets


@dataclass(frozen=True, slots=True)
class Lost:
    """Names of the files that were not there before a restore."""

    names: tuple[str, ...] = ()


def lost(layout: Layout, index: str) -> Lost:
    """The files that should be there and are not. A PostgreSQL catalog has none."""
    state = load(layout)
    wanted = [] if "DATABASE_URL" in service_secrets(layout) else ["catalog.db"]
    if state is None or state.search == "embedded":
        wanted.append("search.db" if index == DEFAULT_INDEX else f"search-{index}.db")
    return Lost(tuple(name for name in wanted if not (layout.data / name).exists()))


def restarted(target: Target, work: Work, gone: Lost) -> Iterator[Event]:
    """Begin the color's processes anew when files were lost; otherwise they have seen the exchange already."""
    if not gone.names:
        return
    color, state = active(target)
    yield Event("restart", "start", f"{', '.join(gone.names)} had been lost: processes still had the deleted files open")
    for events in (target.runtime.retire(color), target.runtime.deploy(color, state)):
        for event in events:
            work.keep()
            yield event
    deadline = work.clock.monotonic() + target.rules.ready_seconds
    while not (ready := target.runtime.readiness(color)).complete:
        if work.clock.monotonic() > deadline:
            raise OperatorError(f"{color} is not ready: {ready.reason}", where=color, next="teal status")
        work.clock.sleep(work.poll_seconds)
        work.keep()
    yield Event("restart", "ok", f"{ready.ready} processes are ready")
