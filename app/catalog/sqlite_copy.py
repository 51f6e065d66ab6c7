"""Copies of SQLite files in use, and putting a copy in the place of one, by SQLite's own online backup.

Both directions are one transaction: a copy is one moment of the file, and those who use it see all of the other content or nothing of it.
Each file is touched by the library that its users have: when two copies of SQLite in one process open one file, the first to close it takes
the locks of the other (sqlite.org/howtocorrupt.html, 2.2.1).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

import apsw

from app.errors import BackupFailed, SnapshotRefused

BUSY_MILLISECONDS: Final = 15_000  # three times what the service's own writers wait


Library = Literal["apsw", "sqlite3"]  # of search, of the catalog
_ACTING: Final = """SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') OR (sql LIKE 'CREATE VIRTUAL%'
  AND NOT (name IN ('words', 'vectors') AND (sql LIKE '%USING fts5(%' OR sql LIKE '%USING vec0(%')))"""


def copy(source: Path, target: Path, library: Library) -> None:
    """One moment of `source`, which stays in use, as the new file `target`."""
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)
    _transfer(source, target, library)


def put_in_place(source: Path, target: Path, library: Library) -> None:
    """Make `target`, which stays in use, hold what `source` holds. Killed before its end, it leaves `target` as it was."""
    _transfer(source, target, library)


def check(path: Path, library: Library) -> None:
    """Raises SnapshotRefused when SQLite finds the file broken, and when it holds what would run by itself: none of our schemas has a
    trigger or a view, and virtual tables are those of search alone."""
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
