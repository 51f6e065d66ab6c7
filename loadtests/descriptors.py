"""File descriptors of a load generator: each user needs one for its connection, and the run's result some that no user may take."""

from __future__ import annotations

import os
import resource
from typing import Final

from loadtests.shapes import Shape

OWN: Final = 64  # of Locust itself: modules, its page, its workers' connections
RESERVE: Final = 16  # for the folder, the files and the process of the report, which are opened while users still hold theirs


def too_few(shape: Shape, workers: int = 0) -> str:
    """Why the limit of open files is below the number of connections, one for each user; empty when it is not. Locust raises the soft
    limit by itself; only an administrator can raise the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = shape.peak // max(1, workers) + OWN
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return ""
    return f"{shape.name} needs {needed} file descriptors in each process and the limit is {hard} (ulimit -Hn): raise it, or use more workers"


def reserve() -> list[int]:
    """Open files that are closed when the run is over, so that its result can be written even if users have taken all others."""
    found: list[int] = []
    try:
        while len(found) < RESERVE:
            found.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass  # fewer are better than no run
    return found


def give_back(held: list[int]) -> None:
    """Close what `reserve` opened."""
    while held:
        os.close(held.pop())
