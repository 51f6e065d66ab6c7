"""A file system with little room, which a test fills and empties."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from teal.drill import disk
from tests.services.required import require


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """`teal.drill.disk.small_disk`; where nothing may be mounted, a skip, or a failure in CI."""
    try:
        with disk.small_disk(folder, size_bytes):
            yield folder
    except disk.NoSmallDisk:
        require("a small disk", "Run the tests as root, or with sudo that asks no password, where mounting is allowed.", False)


@contextmanager
def filled(folder: Path, leave_bytes: int = 0) -> Iterator[None]:
    """Take all the room that is left but `leave_bytes`, and give it back at the end."""
    ballast = folder / "ballast"
    disk.fill_disk(ballast, leave_bytes)
    try:
        yield
    finally:
        ballast.unlink()
