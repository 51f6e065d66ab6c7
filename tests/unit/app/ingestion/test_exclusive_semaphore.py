"""The gate's promises."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.ingestion.exclusive_semaphore import ExclusiveSemaphore, SemaphoreClosed

WAIT_SECONDS = 10.0


def test_never_more_than_places_and_the_lonely_are_alone() -> None:
    gate, lock, inside, seen = ExclusiveSemaphore(3), threading.Lock(), [], []

    def work(number: int) -> None:
        with gate.enter(alone=number % 5 == 0):
            with lock:
                inside.append(number)
                seen.append(list(inside))
            with lock:
                inside.remove(number)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(200)))
    assert len(seen) == 200
    assert max(map(len, seen)) <= 3
    assert all(len(group) == 1 for group in seen if any(number % 5 == 0 for number in group))


def test_closed_gate_turns_away_and_waits_for_those_inside() -> None:
    gate, entered, leave = ExclusiveSemaphore(1), threading.Event(), threading.Event()

    def first() -> None:
        with gate.enter(alone=False):
            entered.set()
            leave.wait(WAIT_SECONDS)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(first)
        assert entered.wait(WAIT_SECONDS)
        assert not gate.close(0.0)
        leave.set()
        assert gate.close(WAIT_SECONDS)
        done.result()
    with pytest.raises(SemaphoreClosed), gate.enter(alone=False):
        pass
