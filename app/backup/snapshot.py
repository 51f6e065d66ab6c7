"""Takes a snapshot: it copies search first, then the catalog, and writes the manifest
last. Only then are old snapshots removed."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from app.backup import encryption, postgres
from app.backup.adapters import open_store, search_copies
from app.backup.clock import credible
from app.backup.contents import count_indexed
from app.backup.manifest import CatalogCopy, Manifest, new_id
from app.backup.port import SnapshotStore
from app.catalog import snapshot_checks, sqlite_copy
from app.catalog.engine import Catalog, schema_revision
from app.errors import BackupFailed
from app.settings import Settings

CUT_OFF_HOURS: Final = 24  # a folder without a manifest that is younger may still be in use by a running snapshot
_COUNT: Final = "SELECT count(*) FROM documents WHERE deleted_at IS NULL AND status = 'indexed'"
log = logging.getLogger(__name__)


def take_snapshot(settings: Settings) -> Manifest:
    """Take a complete snapshot while the service is in use. On an error the unfinished snapshot is removed.

    Raises BackupFailed, also while another process takes a snapshot, SearchUnavailable and CatalogUnavailable.
    """
    store, copies = open_store(settings), search_copies(settings)
    with store.alone():
        _refuse_another_key(settings, store)
        id, started = new_id(), datetime.now(UTC)
        folder = store.prepare(id)
        try:
            search = copies.take(settings, id, folder)
            catalog = _catalog(settings, folder)
            made = Manifest(id=id, started_at=started, finished_at=datetime.now(UTC), release_id=settings.release_id,
                            search=search, catalog=catalog)  # fmt: skip
            if catalog.documents and not search.passages:
                raise BackupFailed(
                    f"The search index is empty and the catalog has {catalog.documents} documents. Next: `teal rebuild`."
                )
            made = encryption.with_seal(made, settings.backup_key)
            store.keep(made)
        except BaseException:
            _forget(settings, store, id)
            raise
        _retire(settings, store)
        return made


def _refuse_another_key(settings: Settings, store: SnapshotStore) -> None:
    """Raises BackupFailed when the key file is missing although there are snapshots that only this key decrypts. With a new key
    they would silently become useless, and be replaced by its snapshots in time."""
    if settings.backup_key.exists():
        return
    sealed = [one for one in store.snapshots() if one.bytes]
    if sealed:
        raise BackupFailed(
            f"The key of the snapshots, {settings.backup_key}, is gone, and {len(sealed)} snapshots can be opened with it alone. Next: bring it "
            "back from where you kept its copy; where there is none, move the snapshots to another place, and new ones begin with a new key."
        )


def _catalog(settings: Settings, folder: Path) -> CatalogCopy:
    url = settings.sqlalchemy_url()
    if settings.environment != "laptop" and settings.database_url is not None:
        return CatalogCopy(kind="external", revision=schema_revision(url) or "", documents=count_indexed(url))
    if settings.database_url is not None:
        plain = folder / "catalog.dump"
        counted = postgres.dump_database(url, plain, _COUNT)
        revision = schema_revision(url) or ""
        return CatalogCopy(
            kind="postgresql",
            revision=revision,
            documents=counted,
            copy_of=encryption.encrypt(plain, folder, settings.backup_key),
        )
    plain = folder / "catalog.db"
    sqlite_copy.copy(settings.state_dir.resolve() / "catalog.db", plain, "sqlite3")
    copied = f"sqlite:///{plain}"
    revision, counted = schema_revision(copied) or "", count_indexed(copied)
    for suffix in ("-wal", "-shm"):
        plain.with_name(plain.name + suffix).unlink(missing_ok=True)
    return CatalogCopy(
        kind="sqlite", revision=revision, documents=counted, copy_of=encryption.encrypt(plain, folder, settings.backup_key)
    )


def _retire(settings: Settings, store: SnapshotStore) -> None:
    """Remove the snapshots beyond the newest `backup_keep`, and unfinished ones that are older than
    CUT_OFF_HOURS. The newest snapshot with documents that passed its test is always kept, so that the snapshots
    of a new and empty stack do not replace it."""
    if not store.retires:
        return
    known, catalog = credible(store.snapshots()), Catalog(settings.sqlalchemy_url())
    with catalog.read() as session:
        proven = snapshot_checks.last_passed(session)
    newest_proven = next((one.id for one in known if one.id in proven and one.catalog.documents), None)
    for old in known[settings.backup_keep :]:
        if old.id != newest_proven:
            if old.search.kind == settings.search:
                search_copies(settings).remove(settings, old.id)
            store.remove(old.id)
            with catalog.write() as session:
                snapshot_checks.forget_check(session, old.id)
    catalog.close()
    for id in store.cut_off(datetime.now(UTC) - timedelta(hours=CUT_OFF_HOURS)):
        store.remove(id)


def _forget(settings: Settings, store: SnapshotStore, id: str) -> None:
    try:
        search_copies(settings).remove(settings, id)
    except Exception as error:  # noqa: BLE001 - the reason why it failed is what counts
        log.warning("the unfinished snapshot %s is left in the search engine: %s", id, error)
    store.remove(id)
