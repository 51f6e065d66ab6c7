"""The stack's SQLite files before anything opens them: a damaged one is set aside, never deleted, and said with the way back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from teal.errors import BadInput
from teal.events import Event
from teal.laptop.layout import Layout

CATALOG = "catalog.db"
# What each is for the operator, and how its content comes back.
FILES: Mapping[str, str] = {
    CATALOG: "a new, empty one is made. The documents come back with `teal restore`",
    "search.db": "a new, empty index is made. It is filled by `teal restore --only search --yes`, or by `teal rebuild`",
    "dbos.db": "a new one is made; the worker finds again by itself which documents wait",
}
LARGEST_BYTES = 2_000_000_000  # a check reads the whole file, about 1 GB in 3 s from a warm disk; a larger one is only opened
ENDINGS = ("", "-wal", "-shm")


def problem(path: Path) -> str | None:
    """What SQLite says is wrong with the file; None when nothing is, or there is no file. Nobody else may have it open."""
    if not path.exists():
        return None
    check = "PRAGMA quick_check(1)" if path.stat().st_size <= LARGEST_BYTES else "SELECT count(*) FROM sqlite_master"
    connection = sqlite3.connect(path)  # not read-only: what a killed process left in the write-ahead log is taken in first
    try:
        (said,) = connection.execute(check).fetchone()
    except sqlite3.DatabaseError as error:
        return None if "no such module" in str(error) else str(error)
    finally:
        connection.close()
    return None if isinstance(said, int) or said == "ok" else str(said)


def set_aside_damaged(layout: Layout) -> Iterator[Event]:
    """Rename each damaged file, so that a new one takes its place. Raises BadInput for a damaged catalog of which there is no snapshot."""
    for name, back in FILES.items():
        path = layout.data / name
        said = problem(path)
        if said is None:
            continue
        if name == CATALOG and not any(layout.backups.glob("*/manifest.json")):
            raise BadInput(f"The catalog is damaged ({said}) and there is no snapshot of it", where=str(path),
                           next=f"put back a copy of your own; or move {path} away and `teal up`, which begins with an empty one")  # fmt: skip
        mark = f".damaged-{int(time.time())}"
        for ending in ENDINGS:
            file = path.with_name(name + ending)
            if file.exists():
                file.rename(file.with_name(file.name + mark))
        yield Event("data", "warn", f"{name} is damaged ({said}) and was renamed to {name}{mark}: {back}")
