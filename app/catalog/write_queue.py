"""The queue of one process' writers for a database that takes one writer at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class WriteQueue:
    """Lets one thread write at a time, in the order in which they asked; thread-safe.

    A thread waits as long as the writers before it get done, however many they are: a long queue on a slow machine is no
    reason to refuse a write. It gives up when one writer has kept the turn for `stuck_seconds`.
    """

    def __init__(self, stuck_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stuck_seconds = stuck_seconds
        self._clock = clock
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False
        self._taken_at = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn, and pass it on to the next thread at exit. Raises `TimeoutError` when the writer that has it is stuck."""
        self._take()
        try:
            yield
        finally:
            with self._mutex:
                self._pass_on()

    def _take(self) -> None:
        given = threading.Event()
        with self._mutex:
            if not self._taken:
                self._taken, self._taken_at = True, self._clock()
                return
            self._waiting.append(given)
        try:
            while not given.wait(self._seconds_left()):
                if self._seconds_left() <= 0:
                    raise TimeoutError(f"the writer before this one has not ended for {self._stuck_seconds:.0f} s")
        except BaseException:  # Ctrl-C too: nobody may wait for a thread that has left
            with self._mutex:
                if given.is_set():
                    self._pass_on()
                else:
                    self._waiting.remove(given)
            raise

    def _seconds_left(self) -> float:
        return max(0.0, self._taken_at + self._stuck_seconds - self._clock())

    def _pass_on(self) -> None:
        """Give the turn to the thread that has waited longest; without one the turn is free. Called with the mutex held."""
        if self._waiting:
            self._taken_at = self._clock()
            self._waiting.popleft().set()
        else:
            self._taken = False
