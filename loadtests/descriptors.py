"""File descriptors of a load generator: each user needs one for its connection, and the end of a run some for its result."""

from __future__ import annotations

import os
import resource
from typing import Final

from loadtests.shapes import Shape

OWN: Final = 64  # of Locust itself: modules, its page, its workers' connections, and those kept for the end
# One file at a time, the report's process with six pipe ends, and Locust's own --csv and --html files: twice what that takes.
KEPT: Final = 24


class KeptDescriptors:
    """Descriptors that nobody uses until the end of a run. Users may hold all others by then, because slow answers make an open loop
    take more than one each; without these the result could not be written."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def keep(self) -> None:
        """Take them. Raises OSError when there are not enough."""
        while len(self._open) < KEPT:
            # Of a regular file: gevent's `os.close` closes any other kind only when its loop runs next, which is too late here.
            self._open.append(os.open(__file__, os.O_RDONLY))

    def give_back(self) -> None:
        """Free them for who writes the result."""
        while self._open:
            os.close(self._open.pop())


def too_few(shape: Shape, workers: int = 0) -> str:
    """Why the limit of open files is below the number of connections, one for each user; empty when it is not. Locust raises the soft
    limit by itself; only an administrator can raise the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = shape.peak // max(1, workers) + OWN
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return ""
    return f"{shape.name} needs {needed} file descriptors in each process and the limit is {hard} (ulimit -Hn): raise it, or use more workers"
