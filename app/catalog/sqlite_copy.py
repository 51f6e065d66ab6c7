"""Copies SQLite files that are in use, and replaces their content by a copy, with SQLite's online backup.

Each direction is one transaction: a copy is the file at one moment, and users of a replaced file see either all of the new
content or none of it. Each file is opened with the same library as its users: when two copies of SQLite in one process open one
file, the first to close it releases the locks of the other (sqlite.org/howtocorrupt.html, 2.2.1).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

import apsw

from app.catalog.sqlite_wait import BUSY_MILLISECONDS
from app.errors import BackupFailed, SnapshotRefused

Library = Literal["apsw", "sqlite3"]  # apsw for the search index, sqlite3 for the catalog
_ACTING: Final = """SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') OR (sql LIKE 'CREATE VIRTUAL%'
  AND NOT (name IN ('words', 'vectors') AND (sql LIKE '%USING fts5(%' OR sql LIKE '%USING vec0(%')))"""


def copy(source: Path, target: Path, library: Library) -> None:
    """Copy `source`, which stays in use, as it is at one moment into the new file `target`."""
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)
    _transfer(source, target, library)


def put_in_place(source: Path, target: Path, library: Library) -> None:
    """Replace the content of `target`, which stays in use, by that of `source`. If the process
    is killed first, `target` is unchanged."""
    _transfer(source, target, library)


def check(path: Path, library: Library) -> None:
    """Raises SnapshotRefused when SQLite finds the file damaged, or when it contains schema objects that could run code: the
    service's schemas have no trigger and no view, and only the search index has virtual tables."""
    try:
        if library == "apsw":
            with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
                acting = [tuple(row) for row in connection.execute(_ACTING).fetchall()]
                said = str(connection.execute("PRAGMA quick_check").fetchall()[0][0]) if not acting else ""
        else:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as plain:
                acting = plain.execute(_ACTING).fetchall()
                said = str(plain.execute("PRAGMA quick_check").fetchone()[0]) if not acting else ""
    except (apsw.Error, sqlite3.Error) as error:
        raise SnapshotRefused(f"The copy of {path.name} is no database: {error}.") from error
    if acting:
        raise SnapshotRefused(
            f"The copy of {path.name} holds the {acting[0][0]} {str(acting[0][1])[:64]!r}, which is none of ours."
        )
    if said != "ok":
        raise SnapshotRefused(f"The copy of {path.name} is broken: {said}.")


def _transfer(source: Path, target: Path, library: Library) -> None:
    if not source.is_file():
        raise BackupFailed(f"There is no {source} to copy. Next: `teal status`.")
    try:
        if library == "apsw":
            copy_by_apsw(source, target)
        else:
            with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(target)) as writing:
                for connection in (reading, writing):
                    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
                reading.backup(writing, pages=-1)
    except (apsw.Error, sqlite3.Error) as error:
        said = (
            "there is no room"
            if isinstance(error, apsw.FullError) or getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
            else error
        )
        raise BackupFailed(f"{source} could not be copied to {target}: {said}. Next: `teal doctor`.") from error


def copy_by_apsw(source: Path, target: Path) -> None:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    with (
        closing(apsw.Connection(str(source), flags=flags)) as reading,
        closing(apsw.Connection(str(target), flags=flags)) as writing,
    ):
        for connection in (reading, writing):
            connection.set_busy_timeout(BUSY_MILLISECONDS)
        with writing.backup("main", reading, "main") as work:
            while not work.done:
                work.step(-1)
