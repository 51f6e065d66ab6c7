"""The commands of `python -m app.admin` for snapshots; `teal snapshot | snapshots | verify | restore` run them.

Each command imports what it needs when it runs, so that every other command starts fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.commands.moments import moment

if TYPE_CHECKING:
    from app.backup.manifest import Manifest
    from app.backup.port import SnapshotSource
    from app.settings import Settings

JsonLine = dict[str, Any]
LOST: Final = "there is no catalog to note it in"
LATE_SHARE: Final = 1.1  # times the hours between two snapshots; if the newest is older, one was missed


def snapshot(settings: Settings, _: argparse.Namespace) -> Iterator[JsonLine]:
    """Take a snapshot of search and catalog while both are in use."""
    from app.backup.snapshot import take_snapshot

    yield _line(take_snapshot(settings), None)


def snapshots(settings: Settings, _: argparse.Namespace) -> Iterator[JsonLine]:
    """Every snapshot, newest first: age, index, counts, size and, if the catalog can be read, when it was verified. Then the
    snapshots that this version cannot read."""
    from app.backup.adapters import open_store
    from app.backup.clock import is_ahead
    from app.catalog import snapshot_checks
    from app.catalog.engine import Catalog
    from app.errors import CatalogUnavailable

    proven: dict[str, datetime] | None = None
    with suppress(CatalogUnavailable), Catalog(settings.sqlalchemy_url()).read() as session:
        proven = snapshot_checks.last_passed(session)
    kept = open_store(settings).kept()
    for one in kept.snapshots:
        yield {**_line(one, (proven or {}).get(one.id)), "verified_known": proven is not None, "from_the_future": is_ahead(one)}
    for lost in kept.unreadable:
        yield {"id": lost.id, "unreadable": lost.why}


def verify(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Test a snapshot by restoring it beside the running service: it must be whole and complete, and its search must answer.
    Without an id: the newest snapshot, which must be recent."""
    from dataclasses import asdict

    from app.backup import check
    from app.backup.adapters import choose_snapshot

    source = _source(settings, options)
    found = choose_snapshot(source.store, id=options.snapshot, at=None)
    oldest = options.max_age_hours or LATE_SHARE * settings.backup_hours
    if options.snapshot is None and oldest:
        check.require_recent(found, oldest)
    done = check.verify_snapshot(settings, found, source)
    noted = "" if done.noted else f"; {LOST}"
    yield {**asdict(done), "detail": f"{done.documents} documents, {done.found} of {done.sampled} samples found{noted}"}


def restore_search(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Restore a snapshot's index beside the one in use, under another name, and add the documents that it lacks to its outbox."""
    from dataclasses import asdict

    from app.backup.restore import begin_search
    from app.commands.index import with_index

    found = _chosen(settings, options)
    compared = begin_search(settings, with_index(settings, options.name), found, _source(settings, options))
    yield {"index": options.name, "snapshot": found.id, **asdict(compared),
           "detail": f"{found.search.passages} passages of {found.id}; {compared.missing} documents to take over"}  # fmt: skip


def restore_catalog(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Put a snapshot's catalog in the place of the one in use, which is kept. Afterwards: `index reconcile`."""
    from app.backup.restore import put_catalog_in_place, refuse_nothing_for_something

    found = _chosen(settings, options)
    refuse_nothing_for_something(settings, found, named=options.snapshot is not None)
    for said in put_catalog_in_place(settings, found, _source(settings, options)):
        yield {"snapshot": found.id, "detail": said}


def _chosen(settings: Settings, options: argparse.Namespace) -> Manifest:
    from app.backup.adapters import choose_snapshot

    return choose_snapshot(_source(settings, options).store, id=options.snapshot, at=options.at)


def _source(settings: Settings, options: argparse.Namespace) -> SnapshotSource:
    """The snapshots to use: the service's own store and key, unless the options name another stack's folder and key."""
    from app.backup.adapters import open_store
    from app.backup.port import SnapshotSource
    from app.backup.stores.folder import FolderStore

    store = open_store(settings) if options.source is None else FolderStore(options.source)
    return SnapshotSource(store, options.key or settings.backup_key)


def _line(found: Manifest, verified_at: datetime | None) -> JsonLine:
    age = (datetime.now(UTC) - found.finished_at).total_seconds()
    return {
        "id": found.id, "finished_at": found.finished_at, "age_seconds": round(age), "index": found.search.index, "search": found.search.kind,
        "catalog": found.catalog.kind, "documents": found.catalog.documents, "passages": found.search.passages, "bytes": found.bytes,
        "schema": found.catalog.revision, "release": found.release_id, "verified_at": verified_at,
    }  # fmt: skip


def add_commands(commands: Any) -> None:
    """Add the commands snapshot, snapshots, verify, restore search and restore catalog."""
    commands.add_parser("snapshot", help=snapshot.__doc__).set_defaults(command=snapshot)
    commands.add_parser("snapshots", help=snapshots.__doc__).set_defaults(command=snapshots, changes=False)
    made = commands.add_parser("verify", help=verify.__doc__)
    made.set_defaults(command=verify)
    made.add_argument(
        "--max-age-hours", type=float, default=None, help="of the newest; default: a tenth more than TEAL_BACKUP_HOURS"
    )
    _which(made, at=False)
    group = commands.add_parser("restore", help="Put a snapshot back.").add_subparsers(required=True, metavar="search|catalog")
    search = group.add_parser("search", help=restore_search.__doc__)
    search.add_argument("--name", required=True, help="name of the index beside the one in use")
    search.set_defaults(command=restore_search)
    catalog = group.add_parser("catalog", help=restore_catalog.__doc__)
    catalog.set_defaults(command=restore_catalog)
    for one in (search, catalog):
        _which(one, at=True)


def _which(parser: argparse.ArgumentParser, *, at: bool) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--snapshot", default=None, help="its id; the newest when not given")
    if at:
        which.add_argument("--at", type=moment, default=None, help="the newest of before this ISO moment")
    parser.add_argument("--source", type=Path, default=None, help="another stack's folder of snapshots")
    parser.add_argument("--key", type=Path, default=None, help="and its key")
