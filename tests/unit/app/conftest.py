"""What many tests of the service begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.catalog.engine import Catalog
from tests.services.migrated import migrated


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """A catalog on SQLite, at the newest schema, empty."""
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrated(url)
    made = Catalog(url)
    yield made
    made.close()
