"""File descriptors of a load generator: each user needs one for its connection."""

from __future__ import annotations

import resource
from typing import Final

from loadtests.shapes import Shape

OWN: Final = 64  # of Locust itself: modules, its page, its workers' connections


def too_few(shape: Shape, workers: int = 0) -> str:
    """Why the limit of open files is below the number of connections, one for each user; empty when it is not. Locust raises the soft
    limit by itself; only an administrator can raise the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = shape.peak // max(1, workers) + OWN
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return ""
    return f"{shape.name} needs {needed} file descriptors in each process and the limit is {hard} (ulimit -Hn): raise it, or use more workers"
