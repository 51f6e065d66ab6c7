"""Snapshots of the index by Elasticsearch itself, in its repository (a folder on a laptop, S3 on
AWS): one index, without cluster state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from elasticsearch import ApiError, Elasticsearch, NotFoundError

from app.backup.contents import count_indexed
from app.backup.manifest import Manifest, SearchCopy
from app.backup.port import SearchCopies, SnapshotSource
from app.errors import BackupFailed, NotFound, SnapshotRefused
from app.search.elasticsearch.connection import client_options, map_client_errors
from app.search.elasticsearch.mappings import first_index, stamp_of
from app.settings import Settings

T = TypeVar("T")
CALL_SECONDS: Final = 60.0
# The longest that one snapshot or restore may take. Recovery runs at 40 MB/s by default;
# hundreds of gigabytes are split over nodes.
SNAPSHOT_SECONDS: Final = 3_600.0
POLL_SECONDS: Final = 0.5


@contextmanager
def connected(settings: Settings) -> Iterator[Elasticsearch]:
    """A context with a client whose errors are turned into the service's own."""
    options = client_options(settings, timeout_seconds=CALL_SECONDS)
    with map_client_errors(settings.elasticsearch_url, settings.index), Elasticsearch(**options) as client:
        yield client


def take_search_snapshot(settings: Settings, id: str, _folder: Path) -> SearchCopy:
    """Snapshot the index behind the alias under the name `id`; the number of documents in the catalog is stored in its metadata.
    Raises BackupFailed when a shard is missing."""
    documents = count_indexed(settings.sqlalchemy_url())
    with connected(settings) as client:
        _ensure_repository(client, settings)
        index, _ = stamp_of(dict(client.indices.get_mapping(index=settings.index)), settings.index)
        client.indices.refresh(index=index)
        client.indices.flush(index=index)
        passages = int(client.count(index=index)["count"])
        client.snapshot.create(
            repository=settings.snapshot_repository, snapshot=id, indices=[index], include_global_state=False,
            wait_for_completion=False, metadata={"teal": {"index": settings.index, "passages": passages, "documents": documents}},
        )  # fmt: skip
        found = _until(lambda: _finished(_one(client, settings, id)), f"snapshot {id}")
        if found["state"] != "SUCCESS" or index not in found["indices"]:
            raise BackupFailed(
                f"Elasticsearch's snapshot {id} ended {found['state']}: {found.get('failures') or found.get('reason')}."
            )
    return SearchCopy(kind="elasticsearch", index=index, passages=passages, repository=settings.snapshot_repository, snapshot=id)


def restore_beside(other: Settings, snapshot: Manifest, _source: SnapshotSource) -> None:
    """Restore the snapshot's index under the name and alias of `other`. Raises
    SnapshotRefused for a snapshot that is not whole."""
    part, target = snapshot.search, first_index(other.index)
    with connected(other) as client:
        found = _one(client, other, str(part.snapshot))
        if found["state"] != "SUCCESS" or part.index not in found["indices"]:
            raise SnapshotRefused(
                f"Elasticsearch's snapshot {part.snapshot} is {found['state']} and holds {found['indices'] or 'no index'}."
            )
        client.options(ignore_status=404).indices.delete(index=target)
        try:
            client.snapshot.restore(
                repository=str(part.repository), snapshot=str(part.snapshot), indices=[part.index], include_global_state=False,
                include_aliases=False, rename_pattern=".+", rename_replacement=target, wait_for_completion=False,
            )  # fmt: skip
            _until(lambda: _recovered(client, target), f"restore of {part.snapshot}")
        except ApiError as error:
            raise SnapshotRefused(f"Elasticsearch can not restore {part.snapshot}: {error.message}: {_cause(error)}") from error
        client.indices.put_alias(index=target, name=other.index, is_write_index=True)


def delete_search_snapshot(settings: Settings, id: str) -> None:
    """Remove a snapshot, if it is there."""
    with connected(settings) as client:
        client.options(ignore_status=404).snapshot.delete(repository=settings.snapshot_repository, snapshot=id)


def in_use(settings: Settings) -> list[str]:
    """The indexes behind the alias; empty when there is no alias."""
    with connected(settings) as client:
        found = client.options(ignore_status=404).indices.get_alias(name=settings.index)
        return list(found) if found.meta.status == 200 else []


def list_snapshots(settings: Settings) -> list[dict[str, Any]]:
    """Every snapshot in the repository, SLM's included, with name, state, indices and end.
    Empty when there is no repository yet."""
    with connected(settings) as client:
        try:
            found = client.snapshot.get(repository=settings.snapshot_repository, snapshot="*")
        except NotFoundError:
            return []
        return [dict(one) for one in found["snapshots"]]


def _ensure_repository(client: Elasticsearch, settings: Settings) -> None:
    """Make sure that the repository exists. On AWS the set-up job registers it; on a laptop it is created here, as
    a folder under the node's `path.repo`."""
    name = settings.snapshot_repository
    if client.options(ignore_status=404).snapshot.get_repository(name=name).meta.status == 200:
        return
    if settings.environment != "laptop":
        raise BackupFailed(
            f"Elasticsearch has no snapshot repository {name}: the platform's set-up job makes it. Next: pulumi up."
        )
    try:
        client.snapshot.create_repository(name=name, repository={"type": "fs", "settings": {"location": name}}, verify=True)
    except ApiError as error:
        raise BackupFailed(
            f"Elasticsearch can not keep snapshots: {error.message}: {_cause(error)} Next: set `path.repo` in its elasticsearch.yml."
        ) from error


def _one(client: Elasticsearch, settings: Settings, id: str) -> dict[str, Any]:
    try:
        return dict(client.snapshot.get(repository=settings.snapshot_repository, snapshot=id)["snapshots"][0])
    except NotFoundError as error:
        raise NotFound(
            f"Elasticsearch's repository {settings.snapshot_repository} has no snapshot {id}. Next: `teal snapshots`."
        ) from error


def _finished(found: dict[str, Any]) -> dict[str, Any] | None:
    return None if found["state"] in ("IN_PROGRESS", "STARTED", "INIT") else found


def _recovered(client: Elasticsearch, index: str) -> bool | None:
    """True when every primary shard is available, None while it is not. Raises SnapshotRefused
    when Elasticsearch gave up restoring one."""
    health = client.cluster.health(index=index, level="indices")
    if health["status"] in ("green", "yellow"):
        return True
    shards = client.indices.recovery(index=index, active_only=False)
    if health["unassigned_shards"] and not health["initializing_shards"] and dict(shards):
        rows: list[Any] = list(client.cat.shards(index=index, h="prirep,unassigned.details", format="json"))
        details = [str(row.get("unassigned.details")) for row in rows if row["prirep"] == "p"]
        if details and all("failed" in one or "exception" in one.lower() for one in details):
            raise SnapshotRefused(f"Elasticsearch gave up restoring {index}: {details[0][:300]}")
    return None


def _until(look: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + SNAPSHOT_SECONDS
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise BackupFailed(
                f"Elasticsearch's {what} did not end within {SNAPSHOT_SECONDS:.0f} s. Next: `teal logs elasticsearch`."
            )
        time.sleep(POLL_SECONDS)
    return found


def _cause(error: ApiError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    causes = body.get("error", {}).get("root_cause", []) if isinstance(body.get("error"), dict) else []
    return str(causes[0].get("reason", ""))[:300] if causes else ""


COPIES: Final = SearchCopies(take_search_snapshot, restore_beside, delete_search_snapshot, exact=False)
