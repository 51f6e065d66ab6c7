"""Atomic writes of files (write beside the place, flush to the disk, rename),
and the digests that verify files before their use."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read.
    A reader, or the disk after a power cut, sees the old file or the new one, never a part."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk: a rename survives a power cut only once its folder was flushed."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def flush_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, before it is renamed to its final name."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            flush_folder(path)
    flush_folder(folder)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def note_digests(folder: Path, files: Iterable[Path], note: Path) -> None:
    """Write the digests of these files of `folder` into `note`, for `first_damaged_file`."""
    write_private(note, json.dumps({str(file.relative_to(folder)): digest(file) for file in sorted(files)}, indent=0) + "\n")


def first_damaged_file(folder: Path, note: Path) -> str | None:
    """A sentence about the first file whose digest is not the noted one;
    None when all are right, or without a note (earlier versions)."""
    try:
        wanted = json.loads(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return f"{note.name} cannot be read"
    if not isinstance(wanted, dict) or not wanted:  # an empty note would let everything pass
        return f"{note.name} cannot be read"
    for name, expected in wanted.items():
        path = folder / name
        try:
            if digest(path) != expected:
                return f"{name} has other content"
        except OSError:
            return f"{name} is missing"
    return None
