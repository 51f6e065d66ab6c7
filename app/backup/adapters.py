"""Opens the configured adapters, the snapshot store and the copies of the search index, and chooses a snapshot."""

from __future__ import annotations

from datetime import datetime

from app.backup.clock import credible
from app.backup.manifest import Manifest
from app.backup.port import SearchCopies, SnapshotSource, SnapshotStore, snapshot_not_found
from app.providers import SEARCH_COPIES, SNAPSHOT_STORES, load_registered
from app.settings import Settings


def open_store(settings: Settings) -> SnapshotStore:
    """The configured store; by default the folder on a laptop, and Elasticsearch's repository elsewhere."""
    name = settings.backup_store or ("folder" if settings.environment == "laptop" else "elasticsearch")
    found: SnapshotStore = load_registered(SNAPSHOT_STORES, name)(settings)
    return found


def own_source(settings: Settings) -> SnapshotSource:
    """This service's own store and key."""
    return SnapshotSource(open_store(settings), settings.backup_key)


def choose_snapshot(store: SnapshotStore, *, id: str | None, at: datetime | None) -> Manifest:
    """The snapshot `id` if given; else the newest that was finished at `at` or before; else the newest.
    A snapshot with a future date is chosen only by its id. Raises NotFound."""
    if id is not None:
        return store.find(id)
    known = credible(store.snapshots())
    fitting = [one for one in known if at is None or one.finished_at <= at]
    if not fitting:
        raise snapshot_not_found("snapshot" if at is None else f"snapshot from before {at:%Y-%m-%d %H:%M:%S} UTC", known)
    return fitting[0]


def search_copies(settings: Settings) -> SearchCopies:
    """The adapter for copies of the configured search engine's index."""
    found: SearchCopies = load_registered(SEARCH_COPIES, settings.search)
    return found
