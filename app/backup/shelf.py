"""Which snapshots there are, wherever they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from app.backup import elasticsearch, manifest
from app.backup.manifest import CatalogPart, Manifest, SearchPart
from app.errors import NotFound
from app.settings import Settings

MAKE: Final = "`teal snapshot` makes one; `teal rebuild` fills search from the catalog alone."


def snapshots(settings: Settings) -> list[Manifest]:
    """Every whole snapshot, newest first: manifests in the folder, or on AWS what Elasticsearch's repository holds."""
    if settings.environment == "laptop":
        return manifest.manifests(settings.backup_dir)
    now = elasticsearch.in_use(settings)
    found = [_of_elasticsearch(settings, one, now) for one in elasticsearch.listed(settings) if one["state"] == "SUCCESS"]
    return sorted((one for one in found if one), key=lambda one: one.finished_at, reverse=True)


def choose(settings: Settings, *, id: str | None, at: datetime | None) -> Manifest:
    """The one named, else the newest that was finished at `at` or before, else the newest. Raises NotFound."""
    if id is not None and settings.environment == "laptop":
        return manifest.read(settings.backup_dir, id)  # says what is wrong with its manifest
    known = snapshots(settings)
    fitting = [one for one in known if id in (None, one.id) and (at is None or one.finished_at <= at)]
    if not fitting:
        wanted = f"snapshot {id[:64]}" if id else f"snapshot from before {at:%Y-%m-%d %H:%M:%S} UTC" if at else "snapshot"
        newest = ", ".join(one.id for one in known[:3]) or "none"
        raise NotFound(f"There is no {wanted}; the newest: {newest}.", action=manifest.LIST if known else MAKE)
    return fitting[0]


def _of_elasticsearch(settings: Settings, found: Mapping[str, Any], in_use: Sequence[str]) -> Manifest | None:
    """None for a snapshot without an index of this service. One of all indices holds those beside and before the one in use too."""
    noted = (found.get("metadata") or {}).get("teal") or {}
    own = sorted(name for name in found["indices"] if name.startswith(f"{settings.index}-"))
    if not own:
        return None
    index = next((name for name in own if name in in_use), own[-1])
    started, finished = (
        datetime.fromtimestamp(found[name] / 1000, UTC) for name in ("start_time_in_millis", "end_time_in_millis")
    )
    search = SearchPart(kind="elasticsearch", index=index, passages=noted.get("passages"),
                        repository=settings.snapshot_repository, snapshot=found["snapshot"])  # fmt: skip
    catalog = CatalogPart(kind="external", revision="", documents=int(noted.get("documents", 0)))
    return Manifest(id=found["snapshot"], started_at=started, finished_at=finished, search=search, catalog=catalog)
