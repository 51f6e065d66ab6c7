"""Descriptors are counted before a run, and some are kept for its result."""

from __future__ import annotations

import os
import resource

import pytest

from loadtests import descriptors
from loadtests.shapes import plain_shape


@pytest.mark.parametrize(("limit", "workers", "said"), [(163, 0, "none needs 164"), (164, 0, ""), (163, 2, ""), (-1, 0, "")])
def test_each_user_needs_one(monkeypatch: pytest.MonkeyPatch, limit: int, workers: int, said: str) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    found = descriptors.too_few(plain_shape(100, 10.0), workers)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_what_was_kept_is_given_back_once() -> None:
    held = descriptors.reserve()
    numbers = [*held]
    assert len(numbers) == descriptors.RESERVE
    descriptors.give_back(held)
    assert held == []
    for number in numbers:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
