"""A service in memory for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from teal.errors import OperatorError
from tests.unit.teal.release.ports import Killed, World


@pytest.fixture
def world() -> Iterator[World]:
    """Blue runs a release; an image `new` is there to be released."""
    made = World()
    made.begin()
    made.put_image("new")
    yield made
    for running in made.kept:
        with suppress(OperatorError, Killed):
            running.close()  # type: ignore[attr-defined]
