"""What goes on beside a test in a thread of its own, in the network of who starts it, until a block ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Loop(Protocol):
    """`run` goes on until somebody calls `stop`."""

    def run(self) -> None: ...

    def stop(self) -> None: ...


L = TypeVar("L", bound=Loop)


@contextmanager
def beside(loop: L, name: str, stop_seconds: float) -> Iterator[L]:
    """`name`: of the thread. `stop_seconds`: how long its last round is waited for."""
    thread = threading.Thread(target=loop.run, name=name, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.stop()
        thread.join(stop_seconds)
