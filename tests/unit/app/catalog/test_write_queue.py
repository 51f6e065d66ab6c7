"""Writers of one process wait in a queue: each gets its turn, however long the queue is, unless a writer is stuck."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

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


def _waiting(queue: WriteQueue) -> int:
    return len(vars(queue)["_waiting"])


def _ask(pool: ThreadPoolExecutor, queue: WriteQueue, number: int, served: list[int]) -> Future[None]:
    """Let a thread ask for the turn; returns once it waits."""
    before = _waiting(queue)

    def write() -> None:
        with queue.turn():
            served.append(number)

    asked = pool.submit(write)
    while _waiting(queue) == before and not asked.done():
        threading.Event().wait(0)
    return asked


def test_writers_get_their_turn_in_the_order_in_which_they_asked() -> None:
    queue, served = WriteQueue(STUCK_SECONDS), list[int]()
    with ThreadPoolExecutor(WRITERS) as pool:
        with queue.turn():
            asked = [_ask(pool, queue, number, served) for number in range(WRITERS)]
        for one in asked:
            one.result(timeout=10)
    assert served == list(range(WRITERS))


def test_a_long_queue_that_moves_refuses_nobody() -> None:
    clock = Clock()
    queue, served = WriteQueue(STUCK_SECONDS, clock=clock), list[int]()

    def write(number: int) -> None:
        with queue.turn():
            served.append(number)
            clock.now += STUCK_SECONDS - 1  # the last one waits for almost WRITERS times the limit

    with ThreadPoolExecutor(WRITERS) as pool:
        for one in [pool.submit(write, number) for number in range(WRITERS)]:
            one.result(timeout=10)
    assert sorted(served) == list(range(WRITERS))


def test_a_stuck_writer_is_named_and_those_that_gave_up_are_not_waited_for() -> None:
    clock = Clock()
    queue, served = WriteQueue(STUCK_SECONDS, clock=clock), list[int]()
    with ThreadPoolExecutor(2) as pool:
        with queue.turn():
            clock.now += STUCK_SECONDS
            with pytest.raises(TimeoutError, match="has not ended for 20 s"):
                pool.submit(queue.turn().__enter__).result(timeout=10)
        with queue.turn():
            last = _ask(pool, queue, 1, served)
        last.result(timeout=10)
    assert served == [1]


def test_a_failed_write_passes_the_turn_on() -> None:
    queue = WriteQueue(STUCK_SECONDS)
    with pytest.raises(RuntimeError), queue.turn():
        raise RuntimeError
    with queue.turn():
        pass
