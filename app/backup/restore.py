"""Restores the parts of a snapshot beside the running service, which is changed only after the
copy was decrypted, checked and compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import delete, insert, make_url, select, update

from app.backup import encryption, postgres
from app.backup.adapters import search_copies
from app.backup.contents import count_indexed
from app.backup.manifest import Manifest
from app.backup.port import SnapshotSource
from app.catalog import index_outbox, index_state, sqlite_copy
from app.catalog.engine import Catalog, migrate, schema_revision
from app.catalog.tables import IndexStateRow, KeyRow, OutboxRow, SearchIndexRow
from app.errors import CatalogUnavailable, SnapshotRefused
from app.indexing.reconcile import IndexComparison, reconcile
from app.models.embed import stamp
from app.search.engines import open_writer
from app.search.port import SearchWriter
from app.settings import Settings


def search_beside(settings: Settings, other: Settings, found: Manifest, source: SnapshotSource) -> None:
    """Restore the snapshot's index as `other.index` and count its passages. Raises SnapshotRefused, or
    IndexMismatch for vectors of another model."""
    if found.search.kind != settings.search:
        raise SnapshotRefused(
            f"Snapshot {found.id} is of the search engine {found.search.kind} and this service runs {settings.search}. "
            "Next: `teal rebuild` fills search from the catalog."
        )
    # Also without a copy to decrypt, because the manifest chooses the engine's own snapshot.
    if source.store.seals:
        encryption.require_seal(found, source)
    copies = search_copies(settings)
    copies.restore_beside(other, found, source)
    with writer_of(other) as writer:
        writer.ensure(stamp(other))
        writer.refresh()
        holds = writer.count()
    # Elasticsearch counts and copies at two moments, between which documents may be added.
    # Missing documents are found by `reconcile`.
    if copies.exact and holds != found.search.passages:
        raise SnapshotRefused(f"Snapshot {found.id} should hold {found.search.passages} passages and holds {holds}.")
    if not holds and found.catalog.documents:
        raise SnapshotRefused(
            f"Snapshot {found.id} holds no passages, and its catalog {found.catalog.documents} documents: it is empty."
        )


def begin_search(settings: Settings, other: Settings, found: Manifest, source: SnapshotSource) -> IndexComparison:
    """Run `search_beside` and keep the restored index up to date from then on: the documents
    that it lacks are added to its outbox."""
    catalog = Catalog(settings.sqlalchemy_url())
    try:
        with catalog.write() as session:  # before the restore, so that documents finished during it get into the outbox
            index_outbox.register_index(session, other.index, serving=False, seeded=True)
        search_beside(settings, other, found, source)
        with writer_of(other) as writer:
            return reconcile(catalog, writer, other.index, changed_since=found.started_at)
    finally:
        catalog.close()


def refuse_nothing_for_something(settings: Settings, found: Manifest, *, named: bool) -> None:
    """Raises SnapshotRefused for a snapshot of an empty catalog while the catalog in use has documents. `named`: the operator
    chose the snapshot by its id, so it is allowed."""
    if named or found.catalog.documents:
        return
    with suppress(CatalogUnavailable):  # if no catalog can be read, there is nothing to lose
        if holds := count_indexed(settings.sqlalchemy_url()):
            raise SnapshotRefused(
                f"Snapshot {found.id} has no documents and the catalog in use has {holds}. Next: `teal snapshots`, then "
                f"`teal restore --snapshot ID` of an older one, or of this one if it is meant."
            )


def put_catalog_in_place(settings: Settings, found: Manifest, source: SnapshotSource) -> Iterator[str]:
    """Put the snapshot's catalog in the place of the one in use, which is kept. The current keys are
    carried over. Yields a line for each step.

    Raises SnapshotRefused before anything is changed. The caller must reconcile the search indexes afterwards.
    """
    if found.catalog.kind == "external" or found.catalog.copy_of is None:
        raise SnapshotRefused(f"Snapshot {found.id} has no copy of the catalog: the database's own service keeps it.")
    wanted = "postgresql" if settings.database_url else "sqlite"
    if found.catalog.kind != wanted:
        raise SnapshotRefused(f"Snapshot {found.id} is of a catalog on {found.catalog.kind} and this service runs on {wanted}.")
    plain = settings.backup_dir / f"restoring-{found.id}"
    with encryption.decrypted(found.catalog.copy_of, found, source, plain):
        yield "decrypted, checksum as in the manifest"
        url = settings.sqlalchemy_url()
        with _catalog_beside(url, plain, found) as beside:
            yield f"{found.catalog.documents} documents as of {found.finished_at:%Y-%m-%d %H:%M:%S} UTC, schema {schema_revision(beside)}"
            carried = carry_over(url, beside, settings.index)
            yield (
                f"{carried} keys carried over from the catalog in use"
                if carried is not None
                else "no catalog in use could be read: rotate the keys"
            )
            _exchange(url, beside)
    yield "in place; the catalog of before is kept beside it"


@contextmanager
def _catalog_beside(url: str, plain: Path, found: Manifest) -> Iterator[str]:
    """A context with the URL of the restored catalog, migrated to the current schema and with its documents counted."""
    if found.catalog.kind == "sqlite":
        sqlite_copy.check(plain, "sqlite3")
        beside = f"sqlite:///{plain}"
        _ready(beside, found)
        yield beside
        return
    name = beside_name(url)
    beside = postgres.restore(url, plain, name)
    try:
        _ready(beside, found)
        yield beside
    finally:
        postgres.drop_database(url, name)  # does nothing if it was put in place


def _ready(beside: str, found: Manifest) -> None:
    if schema_revision(beside) is None:
        raise SnapshotRefused(f"The catalog of snapshot {found.id} has no schema: it is empty.")
    migrate(beside)
    if (holds := count_indexed(beside)) != found.catalog.documents:
        raise SnapshotRefused(
            f"The catalog of snapshot {found.id} should hold {found.catalog.documents} documents and holds {holds}."
        )


def carry_over(running: str, restored: str, index: str) -> int | None:
    """Copy into the restored catalog what must not be reset to an older state: keys, the index generation (part of cache keys)
    and the registered indexes. Returns the number of keys; None when the running catalog could not be read."""
    running_catalog, target = Catalog(running), Catalog(restored)
    keys: list[dict[str, object]] | None = None
    names, generation = [index], 0
    try:
        with suppress(CatalogUnavailable), running_catalog.read() as session:
            table = KeyRow.__table__
            rows = [dict(row) for row in session.execute(select(table)).mappings()]
            names = sorted({index, *(one.name for one in index_outbox.registered_indexes(session))})
            generation = index_state.index_generation(session)
            keys = rows
        with target.write() as session:
            for row in keys or ():
                session.execute(delete(KeyRow).where(KeyRow.id == row["id"]))
            if keys:
                session.execute(insert(KeyRow), keys)
            session.execute(delete(OutboxRow))
            session.execute(delete(SearchIndexRow))
            moment = datetime.now(UTC)
            session.execute(
                insert(SearchIndexRow), [{"name": name, "serving": True, "seeded": True, "created_at": moment} for name in names]
            )
            newest = max(generation, index_state.index_generation(session)) + 1
            session.execute(update(IndexStateRow).values(generation=newest))
    finally:
        running_catalog.close()
        target.close()
    return None if keys is None else len(keys)


def _exchange(url: str, beside: str) -> None:
    if make_url(url).get_backend_name() == "sqlite":
        place, wanted = Path(str(make_url(url).database)), Path(str(make_url(beside).database))
        if place.is_file():
            sqlite_copy.copy(place, place.with_name("catalog-kept.db"), "sqlite3")
        sqlite_copy.put_in_place(wanted, place, "sqlite3")
        return
    postgres.put_in_place(url, str(make_url(beside).database), f"{make_url(url).database}_kept")


def beside_name(url: str) -> str:
    """Name of the database that is restored beside the one in use."""
    return f"{make_url(url).database}_restored"


@contextmanager
def writer_of(settings: Settings) -> Iterator[SearchWriter]:
    """A context with the index's writer, which is closed at the end."""
    writer = open_writer(settings)
    try:
        yield writer
    finally:
        writer.close()
