"""Takes a snapshot: search first, the catalog second, the manifest last, and only then are old ones removed."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from app.backup import elasticsearch, manifest, postgres, sealed, sqlite_copy
from app.backup.contents import indexed
from app.backup.manifest import CatalogPart, Manifest, SearchPart
from app.catalog import checks
from app.catalog.engine import Catalog, schema_revision
from app.errors import BackupFailed
from app.search import embedded_path
from app.search.embedded import EmbeddedWriter
from app.settings import Settings

CUT_OFF_HOURS: Final = 24  # a folder without a manifest is younger than this while somebody may still write it
_COUNT: Final = "SELECT count(*) FROM documents WHERE deleted_at IS NULL AND status = 'indexed'"
log = logging.getLogger(__name__)


def take(settings: Settings) -> Manifest:
    """A whole snapshot, or none: what was begun is removed on an error. Users and worker go on meanwhile.

    Raises BackupFailed, also while another process takes one; SearchUnavailable and CatalogUnavailable as their parts do.
    """
    with _alone(settings.backup_dir):
        id, started = manifest.new_id(), datetime.now(UTC)
        folder = manifest.prepare(settings.backup_dir, id)
        try:
            search = _search(settings, id, folder)
            catalog = _catalog(settings, folder)
            made = Manifest(id=id, started_at=started, finished_at=datetime.now(UTC), release_id=settings.release_id,
                            search=search, catalog=catalog)  # fmt: skip
            if catalog.documents and not search.passages:
                raise BackupFailed(
                    f"The search index is empty and the catalog has {catalog.documents} documents. Next: `teal rebuild`."
                )
            manifest.keep(settings.backup_dir, made)
        except BaseException:
            _forget(settings, id)
            raise
        _retire(settings)
        return made


def _search(settings: Settings, id: str, folder: Path) -> SearchPart:
    if settings.search == "elasticsearch":
        return elasticsearch.take(settings, id, indexed(settings.sqlalchemy_url()))
    plain = folder / "search.db"
    sqlite_copy.copy(embedded_path(settings), plain, "apsw")
    copied = EmbeddedWriter(plain)
    passages = copied.count()  # raises SearchUnavailable when there is no index in it
    copied.close()
    return SearchPart(
        kind="embedded", index=settings.index, passages=passages, copy_of=sealed.seal(plain, folder, settings.backup_key)
    )


def _catalog(settings: Settings, folder: Path) -> CatalogPart:
    url = settings.sqlalchemy_url()
    if settings.environment != "laptop" and settings.database_url is not None:
        return CatalogPart(kind="external", revision=schema_revision(url) or "", documents=indexed(url))
    if settings.database_url is not None:
        plain = folder / "catalog.dump"
        counted = postgres.dump(url, plain, _COUNT)
        revision = schema_revision(url) or ""
        return CatalogPart(
            kind="postgresql", revision=revision, documents=counted, copy_of=sealed.seal(plain, folder, settings.backup_key)
        )
    plain = folder / "catalog.db"
    sqlite_copy.copy(settings.state_dir.resolve() / "catalog.db", plain, "sqlite3")
    copied = f"sqlite:///{plain}"
    revision, counted = schema_revision(copied) or "", indexed(copied)
    for suffix in ("-wal", "-shm"):
        plain.with_name(plain.name + suffix).unlink(missing_ok=True)
    return CatalogPart(
        kind="sqlite", revision=revision, documents=counted, copy_of=sealed.seal(plain, folder, settings.backup_key)
    )


def _retire(settings: Settings) -> None:
    """Remove what is beyond `backup_keep`, never the newest with documents that passed its test (a stack that began anew, empty, must not
    age it out); and folders that were cut off long ago."""
    known, catalog = manifest.manifests(settings.backup_dir), Catalog(settings.sqlalchemy_url())
    with catalog.read() as session:
        proven = checks.verified(session)
    newest_proven = next((one.id for one in known if one.id in proven and one.catalog.documents), None)
    for old in known[settings.backup_keep :]:
        if old.id != newest_proven:
            if old.search.kind == "elasticsearch" and settings.search == "elasticsearch":
                elasticsearch.delete(settings, old.id)
            manifest.remove(settings.backup_dir, old.id)
            with catalog.write() as session:
                checks.forget(session, old.id)
    catalog.close()
    whole, before = {one.id for one in known}, datetime.now(UTC) - timedelta(hours=CUT_OFF_HOURS)
    for folder in settings.backup_dir.glob("s*-*"):
        if folder.name not in whole and folder.is_dir() and datetime.fromtimestamp(folder.stat().st_mtime, UTC) < before:
            manifest.remove(settings.backup_dir, folder.name)


def _forget(settings: Settings, id: str) -> None:
    if settings.search == "elasticsearch":
        try:
            elasticsearch.delete(settings, id)
        except Exception as error:  # noqa: BLE001 - the reason why it failed is what counts
            log.warning("the unfinished snapshot %s is left in Elasticsearch: %s", id, error)
    manifest.remove(settings.backup_dir, id)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One snapshot at a time: the kernel frees the lock when its holder dies."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(home / "lock", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupFailed(
                f"Another process takes a snapshot into {home}. Next: wait for it, then `teal snapshots`."
            ) from error
        yield
