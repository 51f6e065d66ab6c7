"""Writers of one process wait in a queue: each gets its turn, however long the queue is, unless nothing is written any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from app.catalog.write_queue import WriteQueue

STUCK_SECONDS = 20.0
WRITERS = 30


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def _turn(queue: WriteQueue, *, moved: bool = True) -> Iterator[None]:
    queue.take()
    try:
        yield
    finally:
        queue.give(moved=moved)


def _waiting(queue: WriteQueue) -> int:
    return len(vars(queue)["_waiting"])


def _ask(pool: ThreadPoolExecutor, queue: WriteQueue, write: Callable[[], object], *, moved: bool = True) -> Future[None]:
    """Let a thread write in its turn; returns once it waits."""
    before = _waiting(queue)

    def in_turn() -> None:
        with _turn(queue, moved=moved):
            write()

    asked = pool.submit(in_turn)
    while _waiting(queue) == before and not asked.done():
        threading.Event().wait(0)
    return asked


def test_writers_get_their_turn_in_the_order_in_which_they_asked() -> None:
    queue, served = WriteQueue(STUCK_SECONDS), list[int]()
    with ThreadPoolExecutor(WRITERS) as pool:
        with _turn(queue):
            asked = [_ask(pool, queue, lambda number=number: served.append(number)) for number in range(WRITERS)]
        for one in asked:
            one.result(timeout=10)
    assert served == list(range(WRITERS))


def test_a_long_queue_that_moves_refuses_nobody() -> None:
    clock = Clock()
    queue, served = WriteQueue(STUCK_SECONDS, clock=clock), list[float]()

    def write() -> None:
        clock.now += STUCK_SECONDS - 1  # the last one waits for almost WRITERS times the limit
        served.append(clock.now)

    with ThreadPoolExecutor(WRITERS) as pool:
        with _turn(queue):
            asked = [_ask(pool, queue, write) for _ in range(WRITERS)]
        for one in asked:
            one.result(timeout=10)
    assert len(served) == WRITERS


def test_where_a_writer_is_stuck_others_are_refused_and_nobody_waits_for_them_later() -> None:
    clock = Clock()
    queue, served = WriteQueue(STUCK_SECONDS, clock=clock), list[int]()
    with ThreadPoolExecutor(2) as pool:
        with _turn(queue):
            clock.now += STUCK_SECONDS
            with pytest.raises(TimeoutError, match="none has got done for 20 s"):
                pool.submit(queue.take).result(timeout=10)
        with _turn(queue):
            last = _ask(pool, queue, lambda: served.append(1))
        last.result(timeout=10)
    assert served == [1]


@pytest.mark.parametrize("moved", [False, True])
def test_a_writer_that_failed_is_no_progress(moved: bool) -> None:
    """Where another process holds the file each fails after 15 s, and the thirtieth would wait for eight minutes."""
    clock, over = Clock(), threading.Event()
    queue = WriteQueue(STUCK_SECONDS, clock=clock)
    with ThreadPoolExecutor(2) as pool:
        queue.take()
        second = _ask(pool, queue, lambda: over.wait(10))
        clock.now += 15
        queue.give(moved=moved)
        clock.now += 5
        if moved:
            third = _ask(pool, queue, lambda: None)
        else:
            with pytest.raises(TimeoutError):
                pool.submit(queue.take).result(timeout=10)
        over.set()
        second.result(timeout=10)
        if moved:
            third.result(timeout=10)
