"""Encryption of the copies: files of the age format (age-encryption.org/v1) to one key, with their checksums in the manifest."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pyrage

from app.backup.manifest import EncryptedFile, Manifest
from app.backup.port import SnapshotSource
from app.errors import BackupFailed, SnapshotRefused

SUFFIX: Final = ".age"


def snapshot_key(key: Path, *, create: bool) -> pyrage.x25519.Identity:
    """The key that opens the copies: a file as `age-keygen` writes it. With `create` one is made where there is none."""
    if create and not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = pyrage.x25519.Identity.generate()
        text = f"# public key: {made.to_public()}\n# Without this file no snapshot can be read: keep a copy of it somewhere else.\n{made}\n"
        _put(key, text)
    try:
        lines = [line for line in key.read_text(encoding="utf-8-sig").splitlines() if line.strip() and not line.startswith("#")]
        return pyrage.x25519.Identity.from_str(lines[0].strip())
    except FileNotFoundError as error:
        raise BackupFailed(
            f"The key of the snapshots, {key}, is not there. Next: bring it back from where you kept its copy."
        ) from error
    except (IndexError, pyrage.IdentityError, UnicodeDecodeError) as error:
        raise BackupFailed(f"{key} holds no age key. Next: bring it back from where you kept its copy.") from error


def _put(key: Path, text: str) -> None:
    """Write the key whole and on the disk, or not at all: half a key would stop every later snapshot, and one that a power cut takes away
    would leave snapshots that nobody can open. Another process may have been faster; then its key it is."""
    making = key.with_name(f".{key.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(making, key)
        folder = os.open(key.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        making.unlink(missing_ok=True)


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
    """With its seal: HMAC-SHA256 over all else that it says, by the key that opens the copies. Encrypting takes only that key's public half."""
    # Without defaults: a field that a later version adds must not break the seals of before.
    content = made.model_copy(update={"seal": ""}).model_dump_json(exclude_defaults=True).encode()
    secret = str(snapshot_key(key, create=True)).encode()
    return made.model_copy(update={"seal": hmac.digest(secret, b"teal snapshot 1\n" + content, "sha256").hex()})


def require_seal(found: Manifest, source: SnapshotSource) -> None:
    """Raises SnapshotRefused for a manifest that was not sealed with the source's key: nothing that it says may be acted on."""
    snapshot_key(source.key, create=False)
    if not hmac.compare_digest(found.seal, with_seal(found, source.key).seal):
        raise SnapshotRefused(
            f"Snapshot {found.id} is not sealed with the key {source.key}: it was changed, or made with another key or by a version without seals.",
            action="`teal snapshots`, and restore another one; one of an earlier version is restored by that version (`teal release --image`).",
        )


@contextmanager
def decrypted(part: EncryptedFile, found: Manifest, source: SnapshotSource, plain: Path) -> Iterator[Path]:
    """A copy of a snapshot, decrypted into the file `plain`, which is gone afterwards unless it was moved. Raises SnapshotRefused for
    a manifest that was not sealed with this key, and for a copy that was changed."""
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
