"""Snapshots in a folder on this machine: `<folder>/<id>/manifest.json` and the copies beside it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from app.backup.manifest import MANIFEST, MOST_BYTES, Manifest, parsed
from app.backup.port import LIST, StoredSnapshots, UnreadableSnapshot, snapshot_not_found, sorted_out
from app.errors import BackupFailed, SnapshotRefused
from app.settings import Settings

BEGUN: Final = "s*-*"  # the pattern of the ids that `new_id` makes


class FolderStore:
    retires = True
    seals = True

    def __init__(self, home: Path) -> None:
        self.home = home

    def kept(self) -> StoredSnapshots:
        return sorted_out(self._read())

    def snapshots(self) -> list[Manifest]:
        return self.kept().snapshots

    def find(self, id: str) -> Manifest:
        path = self.home / id / MANIFEST
        try:
            return parsed(_own_bytes(path), str(path), id)
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise snapshot_not_found(f"snapshot {id[:64]} in {self.home}", self.snapshots(), action=LIST) from error

    def _read(self) -> Iterator[Manifest | UnreadableSnapshot]:
        for path in sorted(self.home.glob(f"*/{MANIFEST}")):
            try:
                yield parsed(_own_bytes(path), str(path), path.parent.name)
            except SnapshotRefused as error:
                yield UnreadableSnapshot(path.parent.name, error.detail)
            except OSError as error:
                yield UnreadableSnapshot(path.parent.name, f"{path} cannot be read: {error.strerror}.")

    def prepare(self, id: str) -> Path:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = self.home / id
        folder.mkdir(mode=0o700)
        return folder

    def keep(self, made: Manifest) -> None:
        """Writes the manifest whole, readable by its owner alone."""
        folder = self.home / made.id
        part = folder / f"{MANIFEST}.part"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(made.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, folder / MANIFEST)

    def fetch(self, id: str, file: str) -> Path:
        path = self.home / id / file
        if path.is_symlink():
            raise SnapshotRefused(f"The copy {path} is a link to another file. Next: `teal snapshots`, and restore another one.")
        if not path.is_file():
            raise SnapshotRefused(f"The copy {path} is gone. Next: `teal snapshots`, and restore another one.")
        return path

    def remove(self, id: str) -> None:
        folder = self.home / id
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def cut_off(self, before: datetime) -> list[str]:
        return [
            folder.name
            for folder in self.home.glob(BEGUN)
            if folder.is_dir()
            and not (folder / MANIFEST).exists()
            and datetime.fromtimestamp(folder.stat().st_mtime, UTC) < before
        ]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A file lock, which the kernel releases when its holder dies."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(self.home / "lock", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BackupFailed(
                    f"Another process takes a snapshot into {self.home}. Next: wait for it, then `teal snapshots`."
                ) from error
            yield


def _own_bytes(path: Path) -> bytes:
    """The bytes of a manifest, at most one more than the largest may have. Raises SnapshotRefused for a link, and for anything
    that is not a regular file, because reading a pipe would not end."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SnapshotRefused(f"{path} is a link to another file, no manifest.") from error
        raise
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise SnapshotRefused(f"{path} is no file, so no manifest.")
    with os.fdopen(opened, "rb") as file:
        return file.read(MOST_BYTES + 1)


def open_folder(settings: Settings) -> FolderStore:
    return FolderStore(settings.backup_dir)
