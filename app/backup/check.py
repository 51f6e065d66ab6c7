"""Verifies a snapshot by restoring it beside the running service: it can be decrypted, is whole, contains every document of its
moment, and its search finds its documents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.backup import encryption, postgres
from app.backup.contents import count_indexed
from app.backup.manifest import Manifest
from app.backup.port import SnapshotSource
from app.backup.restore import search_beside, writer_of
from app.catalog import ingestion_queries, snapshot_checks, sqlite_copy
from app.catalog.engine import Catalog, migrate
from app.errors import CatalogUnavailable, SnapshotRefused
from app.indexing import spot_check
from app.indexing.reconcile import PAGE
from app.search.port import SearchWriter
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class SnapshotCheck:
    """The result of a test. `found` of `sampled` documents were found by words of their own. `noted`: the
    result is recorded in the catalog in use."""

    snapshot: str
    documents: int
    sampled: int
    found: int
    noted: bool = False


def require_recent(found: Manifest, hours: float) -> None:
    """Raises SnapshotRefused when the snapshot is older than `hours`."""
    age = datetime.now(UTC) - found.finished_at
    if age > timedelta(hours=hours):
        raise SnapshotRefused(
            f"The newest snapshot, {found.id}, is {age.total_seconds() / 3600:.1f} h old; {hours:g} h are allowed.",
            action="`teal snapshot`, then `teal verify`.",
        )


def verify_snapshot(settings: Settings, found: Manifest, source: SnapshotSource) -> SnapshotCheck:
    """Test one snapshot and record in the catalog, if it is available, whether it passed. Raises
    SnapshotRefused with the reason if it did not."""
    running = Catalog(settings.sqlalchemy_url())
    try:
        checked = _test(settings, found, source)
    except SnapshotRefused:
        with suppress(CatalogUnavailable), running.write() as session:
            snapshot_checks.forget_check(session, found.id)
        raise
    else:
        noted = False
        with suppress(CatalogUnavailable):
            with running.write() as session:
                snapshot_checks.record_passed(session, found.id, checked.found)
            noted = True
        return replace(checked, noted=noted)
    finally:
        running.close()


def _test(settings: Settings, found: Manifest, source: SnapshotSource) -> SnapshotCheck:
    other = settings.model_copy(update={"index": f"{settings.index}-c{datetime.now(UTC):%Y%m%d%H%M%S}"})
    with _catalog(settings, found, source) as catalog:
        try:
            search_beside(settings, other, found, source)
            with writer_of(other) as writer:
                documents = _complete(catalog, writer, found)
            asked = list(spot_check.questions(catalog, before=found.started_at))
            seen = spot_check.count_found(other, asked, with_meaning=True)
        finally:
            with writer_of(other) as writer:
                writer.drop()
    if seen < spot_check.FOUND_SHARE * len(asked):
        raise SnapshotRefused(f"Snapshot {found.id} found {seen} of {len(asked)} documents by words of their own.")
    return SnapshotCheck(found.id, documents, len(asked), seen)


def _complete(catalog: Catalog, writer: SearchWriter, found: Manifest) -> int:
    """Check that every document that was indexed before the snapshot began is in its index; returns how many these are. Raises
    SnapshotRefused when one is missing."""
    documents = 0
    missing: list[str] = []
    after: str | None = None
    while True:
        with catalog.read() as session:
            page = ingestion_queries.indexed_page(session, after=after, limit=PAGE)
        wanted = [one.document_id for one in page if one.updated_at < found.started_at]
        has = writer.tally(wanted)
        documents, missing = documents + len(wanted), [*missing, *(one for one in wanted if one not in has)]
        if len(page) < PAGE:
            break
        after = page[-1].document_id
    if missing:
        raise SnapshotRefused(
            f"Snapshot {found.id} lacks {len(missing)} of {documents} documents that were indexed before it, the first {missing[0]}."
        )
    return documents


@contextmanager
def _catalog(settings: Settings, found: Manifest, source: SnapshotSource) -> Iterator[Catalog]:
    """The snapshot's catalog, opened from its copy; the running one where the database's own service keeps it."""
    if found.catalog.copy_of is None:
        yield from _opened(settings.sqlalchemy_url())
        return
    plain = settings.backup_dir / f"checking-{found.id}"
    with encryption.decrypted(found.catalog.copy_of, found, source, plain):
        if found.catalog.kind == "sqlite":
            sqlite_copy.check(plain, "sqlite3")
            yield from _at_its_count(f"sqlite:///{plain.resolve()}", found)
            return
        name = f"teal_check_{found.id.replace('-', '_')}"
        url = settings.sqlalchemy_url()
        beside = postgres.restore(url, Path(plain), name)
        try:
            yield from _at_its_count(beside, found)
        finally:
            postgres.drop_database(url, name)


def _at_its_count(url: str, found: Manifest) -> Iterator[Catalog]:
    migrate(url)
    if (holds := count_indexed(url)) != found.catalog.documents:
        raise SnapshotRefused(
            f"The catalog of snapshot {found.id} should hold {found.catalog.documents} documents and holds {holds}."
        )
    yield from _opened(url)


def _opened(url: str) -> Iterator[Catalog]:
    catalog = Catalog(url)
    try:
        yield catalog
    finally:
        catalog.close()
