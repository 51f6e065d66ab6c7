"""The store of snapshots in Elasticsearch's own repository, an S3 bucket on AWS. Elasticsearch's schedule (SLM) takes and removes
snapshots too, and the database's own service backs up the catalog, so this store copies nothing. Instead of a manifest it uses
the metadata that Elasticsearch stores with each snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.backup import elasticsearch
from app.backup.manifest import CatalogCopy, Manifest, SearchCopy
from app.backup.port import LIST, StoredSnapshots, snapshot_not_found
from app.backup.stores.folder import FolderStore
from app.settings import Settings


class RepositoryStore(FolderStore):
    """Lists the snapshots in the repository. Taking a snapshot also writes a manifest into a folder,
    which on AWS disappears with the pod."""

    retires = False
    seals = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.backup_dir)
        self._settings = settings

    def snapshots(self) -> list[Manifest]:
        now = elasticsearch.in_use(self._settings)
        listed = elasticsearch.list_snapshots(self._settings)
        found = [_manifest(self._settings, one, now) for one in listed if one["state"] == "SUCCESS"]
        return sorted((one for one in found if one), key=lambda one: one.finished_at, reverse=True)

    def kept(self) -> StoredSnapshots:
        # Elasticsearch reports whether a snapshot is complete, and there is no manifest that could be unreadable.
        return StoredSnapshots(self.snapshots(), [])

    def find(self, id: str) -> Manifest:
        known = self.snapshots()
        for one in known:
            if one.id == id:
                return one
        raise snapshot_not_found(f"snapshot {id[:64]}", known, action=LIST)


def _manifest(settings: Settings, found: Mapping[str, Any], in_use: Sequence[str]) -> Manifest | None:
    """The manifest of a snapshot, or None if it has no index of this service. A snapshot of all indices may contain several of
    them; then the one in use is chosen, or else the last."""
    noted = (found.get("metadata") or {}).get("teal") or {}
    own = sorted(name for name in found["indices"] if name.startswith(f"{settings.index}-"))
    if not own:
        return None
    index = next((name for name in own if name in in_use), own[-1])
    started, finished = (
        datetime.fromtimestamp(found[name] / 1000, UTC) for name in ("start_time_in_millis", "end_time_in_millis")
    )
    search = SearchCopy(kind="elasticsearch", index=index, passages=noted.get("passages"),
                        repository=settings.snapshot_repository, snapshot=found["snapshot"])  # fmt: skip
    catalog = CatalogCopy(kind="external", revision="", documents=int(noted.get("documents", 0)))
    return Manifest(id=found["snapshot"], started_at=started, finished_at=finished, search=search, catalog=catalog)
