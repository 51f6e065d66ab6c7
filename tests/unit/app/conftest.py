"""What many tests of the service begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.catalog.engine import Catalog
from tests.services.migrated import migrated


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A catalog on SQLite, at the newest schema, empty."""
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrated(url)
    return Catalog(url)
