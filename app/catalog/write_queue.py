"""The queue of one process' writers for a database that takes one writer at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class WriteQueue:
    """Lets one thread write at a time, in the order in which they asked; thread-safe.

    A thread waits as long as the queue moves, however many are before it: a long queue on a slow machine is no reason to
    refuse a write. All that wait give up when nothing was written for `stuck_seconds`.
    """

    def __init__(self, stuck_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stuck_seconds = stuck_seconds
        self._clock = clock
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False
        self._moved_at = 0.0

    def take(self) -> None:
        """Wait for the turn; whoever has it must `give` it. Raises `TimeoutError` when the queue is stuck."""
        given = threading.Event()
        with self._mutex:
            if not self._taken:
                self._taken, self._moved_at = True, self._clock()
                return
            self._waiting.append(given)
        try:
            while not given.wait(self._seconds_left()):
                if self._seconds_left() <= 0:
                    raise TimeoutError(f"writers are waiting, and none has got done for {self._stuck_seconds:.0f} s")
        except BaseException:  # Ctrl-C too: nobody may wait for a thread that has left
            with self._mutex:
                if given.is_set():
                    self._pass_on()
                else:
                    self._waiting.remove(given)
            raise

    def give(self, *, moved: bool) -> None:
        """Pass the turn on to the thread that has waited longest. `moved`: false for a writer whose database did not answer."""
        with self._mutex:
            if moved:
                self._moved_at = self._clock()
            self._pass_on()

    def _seconds_left(self) -> float:
        return max(0.0, self._moved_at + self._stuck_seconds - self._clock())

    def _pass_on(self) -> None:
        """Called with the mutex held. Where nobody waits, the turn is free."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._taken = False
