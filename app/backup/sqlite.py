"""The embedded index in a snapshot: a copy of its file, made while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from app.backup import encryption
from app.backup.manifest import Manifest, SearchCopy
from app.backup.port import SearchCopies, SnapshotSource
from app.catalog import sqlite_copy
from app.errors import SnapshotRefused
from app.search.sqlite.engine import EmbeddedWriter
from app.search.sqlite.schema import embedded_path, index_files
from app.settings import Settings


def copy_search(settings: Settings, id: str, folder: Path) -> SearchCopy:
    """Copy the embedded index, encrypted, into the snapshot's folder. Raises SearchUnavailable when the file has no index."""
    plain = folder / "search.db"
    sqlite_copy.copy(embedded_path(settings), plain, "apsw")
    copied = EmbeddedWriter(plain)
    passages = copied.count()
    copied.close()
    return SearchCopy(
        kind="embedded", index=settings.index, passages=passages, copy_of=encryption.encrypt(plain, folder, settings.backup_key)
    )


def restore_beside(other: Settings, found: Manifest, source: SnapshotSource) -> None:
    wanted = embedded_path(other)
    if found.search.copy_of is None:
        raise SnapshotRefused(f"Snapshot {found.id} has no copy of search.")
    for path in index_files(wanted):
        path.unlink(missing_ok=True)
    plain = wanted.with_name(wanted.name + ".plain")
    with encryption.decrypted(found.search.copy_of, found, source, plain):
        sqlite_copy.check(plain, "apsw")
        plain.replace(wanted)


COPIES: Final = SearchCopies(copy_search, restore_beside, lambda settings, id: None, exact=True)
