"""A file system with little room, which a test fills and empties."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A tmpfs of `size_bytes` mounted at `folder`. Mounting is for root only: for others the test is skipped, in CI as well,
    because no package would mend it."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "teal-small-disk", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount the small disk: run the tests as root, in a container that may mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path, leave_bytes: int = 0) -> Iterator[None]:
    """Take all the room that is left but `leave_bytes`, and give it back at the end."""
    ballast = folder / "ballast"
    room = os.statvfs(folder)
    take = max(0, room.f_bavail * room.f_frsize - leave_bytes)
    with ballast.open("wb") as file:
        file.write(b"\x00" * take)
    try:
        yield
    finally:
        ballast.unlink()
