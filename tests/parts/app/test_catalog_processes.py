"""What the catalog promises to several processes at once, on SQLite; test_catalog_postgres.py asks the same of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from app.catalog import documents
from app.catalog.engine import Catalog, head_revision, migrate, schema_revision
from tests.contract.catalog_promises import accept


class ProcessPromises:
    @pytest.fixture
    def catalog(self) -> Iterator[Catalog]:
        migrate(self.url)
        catalog = Catalog(self.url)
        yield catalog
        catalog.close()

    def test_two_processes_may_migrate_at_once(self) -> None:
        with ProcessPoolExecutor(2) as pool:
            assert set(pool.map(migrate, [self.url] * 4)) == {head_revision()}
        assert schema_revision(self.url) == head_revision()

    def test_same_content_sent_by_many_processes_is_one_document(self, catalog: Catalog) -> None:
        with ProcessPoolExecutor(3) as pool:
            accepted = [one for batch in pool.map(_send_all, [self.url] * 3) for one in batch]
        assert len({one.id for one in accepted}) == 20
        assert sum(one.created for one in accepted) == 20


def _send_all(url: str) -> list[documents.AcceptedDocument]:
    catalog = Catalog(url)
    try:
        return [accept(catalog, f"words {number}") for number in range(20)]
    finally:
        catalog.close()


class TestSQLite(ProcessPromises):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.url = f"sqlite:///{tmp_path / 'catalog.db'}"
