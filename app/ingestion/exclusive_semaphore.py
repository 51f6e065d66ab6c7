"""An exclusive semaphore: either several threads hold it at once, or one thread holds it alone."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class SemaphoreClosed(Exception):
    """The semaphore was closed, so no thread may enter any more."""


class ExclusiveSemaphore:
    """Admits up to `places` threads at once, or one thread that must be alone. Threads that must be alone go first, the others by
    turn and then in order of arrival. Thread-safe."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._inside = 0
        self._closed = False
        self._lock = threading.Lock()
        self._alone: deque[threading.Event] = deque()
        self._others: list[tuple[int, int, threading.Event]] = []  # a heap: (turn, arrival, event of the waiting thread)
        self._arrivals = itertools.count()
        self._empty = threading.Event()
        self._empty.set()

    @contextmanager
    def enter(self, *, alone: bool, turn: int = 0) -> Iterator[None]:
        """Wait for a place, or with `alone` for all places; a lower `turn` is admitted first.
        Raises `SemaphoreClosed` once it is closed."""
        admitted = threading.Event()
        with self._lock:
            if alone:
                self._alone.append(admitted)
            else:
                heapq.heappush(self._others, (turn, next(self._arrivals), admitted))
            self._admit()
        admitted.wait()
        try:
            if self._closed:
                raise SemaphoreClosed
            yield
        finally:
            with self._lock:
                self._inside -= self._places if alone else 1
                self._admit()

    def close(self, seconds: float) -> bool:
        """Refuse new and waiting threads, and wait until all others have left; returns
        False if that takes longer than `seconds`."""
        self._closed = True
        return self._empty.wait(seconds)

    def _admit(self) -> None:
        while self._alone or self._others:
            weight = self._places if self._alone else 1
            if self._inside + weight > self._places:
                break
            self._inside += weight
            (self._alone.popleft() if self._alone else heapq.heappop(self._others)[2]).set()
        if self._inside:
            self._empty.clear()
        else:
            self._empty.set()
