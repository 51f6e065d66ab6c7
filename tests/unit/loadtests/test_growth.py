"""Growth is measured on copies that differ, and the knee is where requests begin to wait."""

from __future__ import annotations

import math
import random

import pytest

from loadtests.growth.grown import copies, nearby_vector
from loadtests.growth.knee import RateStep, first_step_behind, used_up

PASSAGE = {
    "_id": "d:1", "document_id": "d", "ordinal": 1, "title": "T", "text": "some text", "words": "a b c d e f g h",
    "vector": [1.0] + [0.0] * 383,
}  # fmt: skip


def step(offered: float, p50_ms: float, answered: float | None = None, loop_ms: float = 2.0, engine_ms: float = 4.0) -> RateStep:
    return RateStep(offered, offered if answered is None else answered, p50_ms, 2 * p50_ms, loop_ms, 3.0, engine_ms)


def test_copies_differ_and_have_ids_of_their_own() -> None:
    made = list(copies([PASSAGE], 20, seed=10))
    assert len({one["_id"] for one in made}) == len({tuple(one["vector"]) for one in made}) == 20
    assert all(one["_id"] == f"{one['document_id']}:{one['ordinal']}" for one in made)
    assert all(sorted(one["words"].split()) == list("abcdefgh") for one in made)
    assert {one["_id"] for one in made}.isdisjoint(one["_id"] for one in copies([PASSAGE], 20, seed=30))


def test_a_moved_vector_is_near_and_of_unit_length() -> None:
    vector = nearby_vector(PASSAGE["vector"], random.Random(1))
    assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-4)
    assert 0.88 < vector[0] < 0.97


def test_the_knee_is_the_first_rate_that_waits_or_falls_behind() -> None:
    assert first_step_behind([step(5, 10), step(20, 19), step(40, 20)]) is None
    slow = [step(5, 10), step(20, 20.1), step(40, 15)]
    assert first_step_behind(slow) is slow[1]
    behind = [step(5, 10), step(20, 12, answered=18)]
    assert first_step_behind(behind) is behind[1]


def test_what_is_short_is_named() -> None:
    assert used_up(step(100, 10, loop_ms=9), 1, 8).startswith("the event loop of each process: 90%")
    assert used_up(step(100, 10, loop_ms=9, engine_ms=5), 2, 2).startswith("the machine: 1.7 of 2 cores")
    assert used_up(step(10, 10), 1, 2).startswith("neither: loops 2% busy, 0.1 of 2 cores")
