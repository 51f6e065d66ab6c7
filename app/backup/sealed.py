"""Copies are encrypted as files of the age format (age-encryption.org/v1) to one key, and carry their checksum in the manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyrage

from app.backup.manifest import SealedFile
from app.errors import BackupFailed, SnapshotRefused

SUFFIX: Final = ".age"


def identity(key: Path, *, create: bool) -> pyrage.x25519.Identity:
    """The key that opens the copies: a file as `age-keygen` writes it. With `create` one is made where there is none."""
    if create and not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = pyrage.x25519.Identity.generate()
        text = f"# public key: {made.to_public()}\n# Without this file no snapshot can be read: keep a copy of it somewhere else.\n{made}\n"
        try:
            with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            pass  # another process was faster; its key it is
    try:
        lines = [line for line in key.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]
        return pyrage.x25519.Identity.from_str(lines[0].strip())
    except FileNotFoundError as error:
        raise BackupFailed(
            f"The key of the snapshots, {key}, is not there. Next: bring it back from where you kept its copy."
        ) from error
    except (IndexError, pyrage.IdentityError, UnicodeDecodeError) as error:
        raise BackupFailed(f"{key} holds no age key. Next: bring it back from where you kept its copy.") from error


def seal(plain: Path, folder: Path, key: Path) -> SealedFile:
    """Encrypt `plain` into the snapshot's folder; the plain file is removed."""
    sealed = folder / (plain.name + SUFFIX)
    sealed.touch(mode=0o600)
    pyrage.encrypt_file(str(plain), str(sealed), [identity(key, create=True).to_public()])
    plain.unlink()
    with sealed.open("rb") as file:
        os.fsync(file.fileno())
    return SealedFile(file=sealed.name, sha256=sha256(sealed), bytes=sealed.stat().st_size)


@contextmanager
def opened(part: SealedFile, folder: Path, key: Path, plain: Path) -> Iterator[Path]:
    """Decrypt into the file `plain`, which is gone afterwards unless it was moved. Raises SnapshotRefused for a copy that was changed."""
    sealed = folder / part.file
    if not sealed.is_file():
        raise SnapshotRefused(f"The copy {sealed} is gone. Next: `teal snapshots`, and restore another one.")
    if sealed.stat().st_size != part.bytes:
        raise SnapshotRefused(
            f"The copy {sealed} is {sealed.stat().st_size} bytes long and should be {part.bytes}: it was cut off or changed."
        )
    if sha256(sealed) != part.sha256:
        raise SnapshotRefused(f"The copy {sealed} does not have the checksum of its manifest: it was changed.")
    plain.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    plain.unlink(missing_ok=True)
    plain.touch(mode=0o600)
    try:
        pyrage.decrypt_file(str(sealed), str(plain), [identity(key, create=False)])
        yield plain
    except pyrage.DecryptError as error:
        raise SnapshotRefused(f"The copy {sealed} can not be opened with the key {key}: {error}.") from error
    finally:
        for path in (plain, plain.with_name(plain.name + "-wal"), plain.with_name(plain.name + "-shm")):
            path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
