"""Encryption of the copies as files in the age format (age-encryption.org/v1) for one key; the
manifest has their checksums and a seal."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyrage

from app.age_key import make_key, parse_key
from app.backup.manifest import EncryptedFile, Manifest
from app.backup.port import SnapshotSource
from app.errors import BackupFailed, SnapshotRefused

SUFFIX: Final = ".age"


def snapshot_key(key: Path, *, create: bool) -> pyrage.x25519.Identity:
    """Read the key that decrypts the copies, from a file as `age-keygen` writes it. `create`: make the key if there is none."""
    if create and not key.exists():
        make_key(key, "Without this file no snapshot can be read: keep a copy of it somewhere else.")
    try:
        return parse_key(key.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise BackupFailed(
            f"The key of the snapshots, {key}, is not there. Next: bring it back from where you kept its copy."
        ) from error
    except (IndexError, pyrage.IdentityError, UnicodeDecodeError) as error:
        raise BackupFailed(f"{key} holds no age key. Next: bring it back from where you kept its copy.") from error


def encrypt(plain: Path, folder: Path, key: Path) -> EncryptedFile:
    """Encrypt `plain` into the snapshot's folder; the plain file is removed."""
    encrypted = folder / (plain.name + SUFFIX)
    encrypted.touch(mode=0o600)
    pyrage.encrypt_file(str(plain), str(encrypted), [snapshot_key(key, create=True).to_public()])
    plain.unlink()
    with encrypted.open("rb") as file:
        os.fsync(file.fileno())
    return EncryptedFile(file=encrypted.name, sha256=sha256(encrypted), bytes=encrypted.stat().st_size)


def with_seal(made: Manifest, key: Path) -> Manifest:
    """The manifest with its seal: an HMAC-SHA256 over all other fields, by the secret key that decrypts the copies. Encryption
    alone needs only the public half of the key, so it proves nothing about the author."""
    # Without defaults, so that a field that a later version adds does not break older seals.
    content = made.model_copy(update={"seal": ""}).model_dump_json(exclude_defaults=True).encode()
    secret = str(snapshot_key(key, create=True)).encode()
    return made.model_copy(update={"seal": hmac.digest(secret, b"teal snapshot 1\n" + content, "sha256").hex()})


def require_seal(found: Manifest, source: SnapshotSource) -> None:
    """Raises SnapshotRefused for a manifest that was not sealed with the source's key; such a manifest must not be used."""
    snapshot_key(source.key, create=False)
    if not hmac.compare_digest(found.seal, with_seal(found, source.key).seal):
        raise SnapshotRefused(
            f"Snapshot {found.id} is not sealed with the key {source.key}: it was changed, or made with another key or by a version without seals.",
            action="`teal snapshots`, and restore another one; one of an earlier version is restored by that version (`teal release --image`).",
        )


@contextmanager
def decrypted(part: EncryptedFile, found: Manifest, source: SnapshotSource, plain: Path) -> Iterator[Path]:
    """A context in which a copy of a snapshot is decrypted into the file `plain`, which is removed afterwards unless it was
    moved. Raises SnapshotRefused for a manifest that was not sealed with this key, and for a copy that was changed."""
    key = source.key
    require_seal(found, source)
    copy = source.store.fetch(found.id, part.file)
    if copy.stat().st_size != part.bytes:
        raise SnapshotRefused(
            f"The copy {copy} is {copy.stat().st_size} bytes long and should be {part.bytes}: it was cut off or changed."
        )
    if sha256(copy) != part.sha256:
        raise SnapshotRefused(f"The copy {copy} does not have the checksum of its manifest: it was changed.")
    plain.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    plain.unlink(missing_ok=True)
    plain.touch(mode=0o600)
    try:
        pyrage.decrypt_file(str(copy), str(plain), [snapshot_key(key, create=False)])
        yield plain
    except pyrage.DecryptError as error:
        raise SnapshotRefused(f"The copy {copy} can not be opened with the key {key}: {error}.") from error
    finally:
        for path in (plain, plain.with_name(plain.name + "-wal"), plain.with_name(plain.name + "-shm")):
            path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
