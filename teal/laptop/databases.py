"""Checks the stack's SQLite files before anything opens them.
A damaged file is renamed, never deleted, and reported with the way to restore it."""

from __future__ import annotations

import shlex
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from teal.errors import BadInput
from teal.events import Event
from teal.laptop.layout import Layout

CATALOG = "catalog.db"
SEARCH_BACK = "a new, empty index is made. It is filled by `teal restore --only search --yes`, or by `teal rebuild`"
# Each file's name for the operator, and how to restore its content.
FILES: Mapping[str, str] = {
    CATALOG: "a new, empty one is made. The documents come back with `teal restore`",
    "search.db": SEARCH_BACK,
    "dbos.db": "a new one is made; the worker finds again by itself which documents wait",
}
OTHER_INDEXES = "search-*.db"  # indexes of single releases, named as by the service's `embedded_path`
LARGEST_BYTES = 2_000_000_000  # a check reads the whole file, about 1 GB in 3 s from a warm disk; a larger one is only opened
LOCK_SECONDS = 5.0  # the wait for a writer that is ending; longer than any write of the service
ENDINGS = ("", "-wal", "-shm")
# SQLite's result codes for damaged content. Every other error comes from the machine or another process (a lock, a full disk, no
# right to read), and says nothing about the content.
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_MENDS: Mapping[int, str] = {
    sqlite3.SQLITE_BUSY: "end what has it open (`fuser {path}` names it), then teal up",
    sqlite3.SQLITE_LOCKED: "end what has it open (`fuser {path}` names it), then teal up",
    sqlite3.SQLITE_FULL: "free disk space: runbooks/disk-full.md, then teal up",
    sqlite3.SQLITE_IOERR: "look whether the disk is well and has room (`df {path}`, `dmesg`), then teal up",
}
_MAY_NOT = "make {path}, what lies beside it and its folder yours and writable (`ls -l`), then teal up"


def database_damage(path: Path) -> str | None:
    """What is wrong with the content of the file; None when nothing is, or there is no file. No other process may have it open.
    Raises BadInput when the file cannot be checked."""
    if not path.exists():
        return None
    try:
        if (
            path.is_file() and path.stat().st_size == 0
        ):  # SQLite takes it for a new database, and drops the write-ahead log beside it
            return "it is empty: 0 bytes"
        check = "PRAGMA quick_check(1)" if path.stat().st_size <= LARGEST_BYTES else "SELECT count(*) FROM sqlite_master"
        # Not read-only: SQLite first applies the write-ahead log that a killed process left.
        connection = sqlite3.connect(path, timeout=LOCK_SECONDS)
    except (OSError, sqlite3.Error) as error:
        raise _cannot_look(path, error) from error
    try:
        (said,) = connection.execute(check).fetchone()
    except sqlite3.Error as error:
        if "no such module" in str(error):
            return None
        if _code(error) not in DAMAGE:
            raise _cannot_look(path, error) from error
        return str(error)
    finally:
        connection.close()
    return None if isinstance(said, int) or said == "ok" else str(said)


def set_aside_damaged(layout: Layout) -> Iterator[Event]:
    """Rename each damaged file, so that a new one takes its place.
    Raises BadInput for a damaged catalog without a snapshot, and for a file that cannot be checked."""
    others = {path.name: SEARCH_BACK for path in sorted(layout.data.glob(OTHER_INDEXES))}
    for name, back in {**FILES, **others}.items():
        path = layout.data / name
        said = database_damage(path)
        if said is None or (name == CATALOG and _never_used(layout, path)):
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


def _never_used(layout: Layout, path: Path) -> bool:
    """Whether the catalog is an unused file, left by a first start that ended before it wrote to it: no admin key exists yet."""
    return path.stat().st_size == 0 and not layout.admin_key.exists() and not any(layout.backups.glob("*/manifest.json"))


def _code(error: Exception) -> int:
    """SQLite's primary result code; -1 for an error that is not SQLite's."""
    return int(getattr(error, "sqlite_errorcode", None) or -1) & 0xFF


def _cannot_look(path: Path, error: Exception) -> BadInput:
    mend = _MENDS.get(_code(error), _MAY_NOT).format(path=shlex.quote(str(path)))
    return BadInput(f"{path.name} cannot be opened, which says nothing about what is in it: {error}", where=str(path), next=mend)
