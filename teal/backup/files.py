"""Detects that the laptop's data files were deleted:
a process that has a deleted file open goes on using it and must be restarted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from teal.backup.flow import DataOperation, active
from teal.errors import OperatorError
from teal.events import Event
from teal.laptop import supervisor
from teal.laptop.configuration import DEFAULT_INDEX
from teal.laptop.layout import Layout
from teal.laptop.reap import find_leftovers
from teal.laptop.secrets import service_secrets
from teal.laptop.state import load_state
from teal.ports.target import Target

CATALOG = "catalog.db"


def lost_files(layout: Layout, index: str) -> tuple[str, ...]:
    """Names of the data files that are missing, or deleted while a process of the stack has them open (seen on Linux only). A
    PostgreSQL catalog has no such file."""
    state = load_state(layout)
    wanted = [] if "DATABASE_URL" in service_secrets(layout) else [CATALOG]
    if state is None or state.search == "embedded":
        wanted.append("search.db" if index == DEFAULT_INDEX else f"search-{index}.db")
    held = _deleted_but_open(layout)
    return tuple(name for name in wanted if not (layout.data / name).exists() or str(layout.data / name) in held)


def restart_color(target: Target, layout: Layout, work: DataOperation, gone: Sequence[str]) -> Iterator[Event]:
    """Restart the color's processes because data files were lost.
    They notice an exchanged file by themselves, but not a deleted one."""
    color, state = active(target)
    yield Event("restart", "start", f"{', '.join(gone)} had been lost: processes still had the deleted files open")
    for events in (target.runtime.retire(color), target.runtime.deploy(color, state)):
        for event in events:
            work.keep()
            yield event
    deadline = work.clock.monotonic() + target.rules.ready_seconds
    while not (ready := target.runtime.readiness(color)).complete or _starting(layout, color):
        if work.clock.monotonic() > deadline:
            raise OperatorError(f"{color} is not ready: {ready.reason}", where=color, next="teal status")
        work.clock.sleep(work.poll_seconds)
        work.keep()
    yield Event("restart", "ok", f"{ready.ready} processes are ready")


def _starting(layout: Layout, color: str) -> bool:
    """Whether a part of the color is not running yet: `teal status` would still name it."""
    return any(part.state == "STARTING" for name, part in supervisor.processes(layout).items() if name.startswith(f"{color}-"))


def _deleted_but_open(layout: Layout) -> set[str]:
    found = set()
    for process in find_leftovers(layout):
        with suppress(OSError):  # it ended meanwhile
            for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
                with suppress(OSError):  # it was closed meanwhile
                    path, deleted, _ = os.readlink(descriptor).partition(" (deleted)")
                    if deleted:
                        found.add(path)
    return found
