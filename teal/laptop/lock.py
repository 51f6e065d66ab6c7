"""The lock that lets only one command change the stack at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from teal.errors import HeldByAnother
from teal.laptop.layout import Layout, make_home


@contextmanager
def exclusive(layout: Layout) -> Iterator[None]:
    """Hold the lock of this stack. Raises HeldByAnother at once when another command has it."""
    make_home(layout)
    with layout.lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise HeldByAnother("Another `teal up` or `teal down` is at work on this stack", where=f"{layout.lock} ({file.read().strip() or 'pid unknown'})",
                       next="wait for it, then `teal status`") from error  # fmt: skip
        os.set_inheritable(file.fileno(), False)  # supervisord lives on and must not keep the lock
        file.truncate(0)
        file.write(f"pid {os.getpid()}")
        file.flush()
        yield
