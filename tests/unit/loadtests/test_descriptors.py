"""Descriptors are counted before a run."""

from __future__ import annotations

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
