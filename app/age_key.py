"""Files that hold an age key (age-encryption.org/v1), made once and used by several processes."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

import pyrage


def make_key(path: Path, note: str) -> None:
    """Write a new key, completely and durably, or not at all: half a key would stop whoever needs it, and a key lost in a power
    cut would leave what nobody can decrypt. If another process was faster, its key stays. `note`: a line for people."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = pyrage.x25519.Identity.generate()
    text = f"# public key: {made.to_public()}\n# {note}\n{made}\n"
    making = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(making, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        making.unlink(missing_ok=True)


def parse_key(text: str) -> pyrage.x25519.Identity:
    """The key in a text as `age-keygen` writes it. Raises IndexError or pyrage.IdentityError when there is none."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return pyrage.x25519.Identity.from_str(lines[0].strip())
