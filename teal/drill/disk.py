"""A file system with little room, to be filled and emptied."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHUNK_BYTES = 1 << 20


class NoSmallDisk(Exception):
    """This process may not mount a file system here."""


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A tmpfs of `size_bytes` mounted at `folder`, by root or by sudo without a password (as CI's machines have it). Raises NoSmallDisk."""
    folder.mkdir(parents=True, exist_ok=True)
    root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    options = f"size={size_bytes},mode=700,uid={os.geteuid()},gid={os.getegid()}"
    mount = [*root, "mount", "-t", "tmpfs", "-o", options, "teal-small-disk", str(folder)]
    if not shutil.which(mount[0]) or subprocess.run(mount, capture_output=True, check=False).returncode != 0:  # noqa: S603
        raise NoSmallDisk
    try:
        yield folder
    finally:
        subprocess.run([*root, "umount", "--lazy", str(folder)], capture_output=True, check=True)  # noqa: S603


def fill_disk(ballast: Path, leave_bytes: int = 0) -> None:
    """Fill the file system of `ballast` until `leave_bytes` are free. Other processes may be writing to it at the same time."""

    def left() -> int:
        room = os.statvfs(ballast.parent)
        return room.f_bavail * room.f_frsize - leave_bytes

    with ballast.open("wb", buffering=0) as file:
        try:
            while (more := left()) > 0:
                file.write(bytes(min(more, CHUNK_BYTES)))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
