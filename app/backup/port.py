"""The ports of snapshots: a store for them, and copies of the search engine's index.
`adapters.py` opens the configured adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from app.backup.manifest import Manifest, SearchCopy
from app.errors import NotFound
from app.settings import Settings

LIST: Final = "`teal snapshots`; `teal rebuild` fills search from the catalog alone."
MAKE: Final = "`teal snapshot` makes one; `teal rebuild` fills search from the catalog alone."


@dataclass(frozen=True, slots=True)
class UnreadableSnapshot:
    """A snapshot whose manifest this version cannot read, and why."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class StoredSnapshots:
    """The content of a store: every complete snapshot, newest first, and the ones that this version cannot read because a newer
    version made them or they are damaged. Unreadable snapshots are never removed; unfinished ones are not listed."""

    snapshots: list[Manifest]
    unreadable: list[UnreadableSnapshot]


def sorted_out(found: Iterable[Manifest | UnreadableSnapshot]) -> StoredSnapshots:
    """Separate the snapshots that a store has read from the unreadable ones."""
    read = list(found)
    snapshots = [one for one in read if isinstance(one, Manifest)]
    return StoredSnapshots(
        sorted(snapshots, key=lambda one: one.finished_at, reverse=True),
        [one for one in read if isinstance(one, UnreadableSnapshot)],
    )


class SnapshotStore(Protocol):
    """A store of snapshots; each is a manifest with encrypted copies beside it. A snapshot
    exists exactly while its manifest exists.

    `retires`: this service removes old snapshots when it takes new ones; if False, the store has its own schedule for that.
    `seals`: this service writes the manifests, with a seal; if False, they are derived from the engine's metadata and have none.
    """

    retires: bool
    seals: bool

    def kept(self) -> StoredSnapshots:
        """The whole content of the store, read once."""

    def snapshots(self) -> list[Manifest]:
        """The complete snapshots, newest first."""

    def find(self, id: str) -> Manifest:
        """The manifest of one snapshot. Raises NotFound, or SnapshotRefused for an invalid manifest."""

    def prepare(self, id: str) -> Path:
        """A folder on this machine for the copies of the new snapshot, not accessible to other users."""

    def keep(self, made: Manifest) -> None:
        """Store the prepared copies and then the manifest, with which the snapshot begins to exist."""

    def fetch(self, id: str, file: str) -> Path:
        """The path of a copy on this machine, fetched if necessary. Raises SnapshotRefused when it is missing."""

    def remove(self, id: str) -> None:
        """Remove a snapshot, its manifest first, so that a half-removed snapshot no
        longer exists. No error when there is none."""

    def cut_off(self, before: datetime) -> list[str]:
        """The ids of snapshots that were begun before this moment and never finished."""

    def alone(self) -> AbstractContextManager[None]:
        """A lock that is held while a snapshot is taken. Raises BackupFailed while another process takes one."""


@dataclass(frozen=True, slots=True)
class SnapshotSource:
    """A store with the key that decrypts its copies: this service's own, or that of another
    stack whose snapshot is restored here."""

    store: SnapshotStore
    key: Path


@dataclass(frozen=True, slots=True)
class SearchCopies:
    """An adapter for copies of the search index, in the form that `app/providers.py` registers.

    `take(settings, id, folder)` copies the index in use, encrypted into the folder or inside the engine. `restore_beside(other,
    snapshot, source)` restores the copy as the index that `other` names. `remove(settings, id)` removes a snapshot's data inside
    the engine. `exact`: passages are counted at the moment of the copy, so the restored index must have exactly as many.
    """

    take: Callable[[Settings, str, Path], SearchCopy]
    restore_beside: Callable[[Settings, Manifest, SnapshotSource], None]
    remove: Callable[[Settings, str], None]
    exact: bool


def snapshot_not_found(wanted: str, known: list[Manifest], *, action: str | None = None) -> NotFound:
    """The error for a snapshot that does not exist; it names the newest ones."""
    newest = ", ".join(one.id for one in known[:3]) or "none"
    return NotFound(f"There is no {wanted}; the newest: {newest}.", action=action or (LIST if known else MAKE))
