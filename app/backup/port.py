"""What snapshots need: a store that keeps them, and copies of the search engine's index. `adapters.py` opens the configured ones."""

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
    """What lies in a store: every whole snapshot, newest first (one that was cut off is not among them), and what this version cannot read,
    a newer version's or a damaged one, which is never removed."""

    snapshots: list[Manifest]
    unreadable: list[UnreadableSnapshot]


def sorted_out(found: Iterable[Manifest | UnreadableSnapshot]) -> StoredSnapshots:
    """What a store read, in its two kinds."""
    read = list(found)
    snapshots = [one for one in read if isinstance(one, Manifest)]
    return StoredSnapshots(
        sorted(snapshots, key=lambda one: one.finished_at, reverse=True),
        [one for one in read if isinstance(one, UnreadableSnapshot)],
    )


class SnapshotStore(Protocol):
    """Keeps snapshots: a manifest and the encrypted copies beside it. A snapshot exists while its manifest does.

    `retires`: old snapshots are removed by whoever takes new ones; elsewhere the store has a schedule of its own for that.
    `seals`: its manifests are written by this service, with a seal; elsewhere they are made from what the engine notes, and have none.
    """

    retires: bool
    seals: bool

    def kept(self) -> StoredSnapshots:
        """All that lies there, in one reading."""

    def snapshots(self) -> list[Manifest]:
        """The whole snapshots of it, newest first."""

    def find(self, id: str) -> Manifest:
        """One snapshot. Raises NotFound, or SnapshotRefused for a manifest that is none."""

    def prepare(self, id: str) -> Path:
        """A folder on this machine, closed to other users, into which the new snapshot's copies are written."""

    def keep(self, made: Manifest) -> None:
        """Keep the prepared copies, then the manifest: from now on the snapshot exists."""

    def fetch(self, id: str, file: str) -> Path:
        """A copy's path on this machine. Raises SnapshotRefused when it is gone."""

    def remove(self, id: str) -> None:
        """Remove a snapshot, the manifest first: what is half removed is no snapshot any more. No error when there is none."""

    def cut_off(self, before: datetime) -> list[str]:
        """Ids of snapshots that were begun before this moment and never finished."""

    def alone(self) -> AbstractContextManager[None]:
        """Held while a snapshot is taken. Raises BackupFailed while another process takes one."""


@dataclass(frozen=True, slots=True)
class SnapshotSource:
    """Where a snapshot's copies are and which key decrypts them: this service's own, or another's whose snapshot is restored here."""

    store: SnapshotStore
    key: Path


@dataclass(frozen=True, slots=True)
class SearchCopies:
    """An adapter as `app/providers.py` registers it.

    `take(settings, id, folder)` copies the index in use, encrypted into the folder or inside the engine. `restore_beside(other, snapshot,
    source)` makes the copy the index that `other` names. `remove(settings, id)` removes what the engine itself keeps of a snapshot.
    `exact`: passages are counted at the moment of the copy, so that they must be as many when it is restored.
    """

    take: Callable[[Settings, str, Path], SearchCopy]
    restore_beside: Callable[[Settings, Manifest, SnapshotSource], None]
    remove: Callable[[Settings, str], None]
    exact: bool


def snapshot_not_found(wanted: str, known: list[Manifest], *, action: str | None = None) -> NotFound:
    """The error of a snapshot that is not there: it names the newest ones."""
    newest = ", ".join(one.id for one in known[:3]) or "none"
    return NotFound(f"There is no {wanted}; the newest: {newest}.", action=action or (LIST if known else MAKE))
