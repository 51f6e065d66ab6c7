"""The stack's log files: lists them, reads their last lines, and follows new lines."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from teal.errors import BadInput
from teal.laptop.layout import Layout

POLL_SECONDS = 0.3


def log_files(layout: Layout, part: str | None) -> list[Path]:
    """Log files of one part (`app` means every app process), or of all. Raises BadInput with the names there are."""
    have = sorted(layout.logs.glob("*.log"))
    names = sorted({path.name.removesuffix(".log").removesuffix(".out") for path in have})
    found = [path for path in have if part is None or _is_of(path, part)]
    if not found:
        raise BadInput(f"There is no log of {part}" if part else "There are no logs yet", where=str(layout.logs),
                       next=f"teal logs [{' | '.join(names)}]" if names else "teal up")  # fmt: skip
    return found


def _is_of(path: Path, part: str) -> bool:
    """Whether the file belongs to the part: `green-app-0`, `app-0`, `app` and `green` all mean the log of green's first app process."""
    return path.name.startswith(part) or f"-{part}" in path.name


def tail(path: Path, count: int) -> list[str]:
    """The last lines of one file; none if the file was rotated away."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=count)]
    except FileNotFoundError:
        return []


def new_lines(paths: list[Path], *, pause: Callable[[float], None] = time.sleep) -> Iterator[tuple[Path, str]]:
    """Yield new lines of all files, without end; a rotated file is read from its new beginning."""
    seen = {path: path.stat().st_size for path in paths if path.exists()}
    inodes = {path: path.stat().st_ino for path in seen}
    while True:
        for path in paths:
            try:
                now = path.stat()
            except FileNotFoundError:
                continue
            at = seen.get(path, 0) if inodes.get(path) == now.st_ino and now.st_size >= seen.get(path, 0) else 0
            if now.st_size > at:
                with path.open("rb") as file:
                    file.seek(at)
                    whole, newline, _ = file.read().rpartition(b"\n")  # an incomplete line is read once it is complete
                    for line in whole.decode("utf-8", "replace").split("\n") if newline else ():
                        yield path, line
                    at += len(whole) + len(newline)
            seen[path], inodes[path] = at, now.st_ino
        pause(POLL_SECONDS)
