"""Descriptors are counted before a run."""

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


def test_descriptors_kept_for_the_result_are_free_when_it_is_written_and_taken_again_by_the_next_run() -> None:
    kept, before = descriptors.KeptDescriptors(), len(os.listdir("/dev/fd"))
    for _ in range(2):
        kept.keep()
        assert len(os.listdir("/dev/fd")) == before + descriptors.KEPT
        kept.give_back()
        assert len(os.listdir("/dev/fd")) == before
