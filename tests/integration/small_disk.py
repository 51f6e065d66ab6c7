"""A file system with little room, which a test fills and empties."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import require


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A tmpfs of `size_bytes` mounted at `folder`, by root or by sudo without a password (as CI's machines have it)."""
    folder.mkdir(parents=True, exist_ok=True)
    root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    options = f"size={size_bytes},mode=700,uid={os.geteuid()},gid={os.getegid()}"
    mount = [*root, "mount", "-t", "tmpfs", "-o", options, "teal-small-disk", str(folder)]
    can = bool(shutil.which(mount[0])) and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    require("a small disk", "Run the tests as root, or with sudo that asks no password, where mounting is allowed.", can)
    try:
        yield folder
    finally:
        subprocess.run([*root, "umount", "--lazy", str(folder)], check=True)


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
