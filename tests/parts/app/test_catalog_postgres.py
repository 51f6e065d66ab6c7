"""The catalog's promises on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from app.catalog.engine import Catalog, open_engine
from app.errors import CatalogUnavailable
from app.settings import Settings
from tests.parts.app.test_catalog_processes import ProcessPromises
from tests.services import postgres_process
from tests.unit.app.catalog.test_catalog import Promises
from tests.unit.app.catalog.test_index_outbox import OutboxPromises


class Fresh:
    """A database of its own for each test."""

    url: str

    @pytest.fixture(autouse=True)
    def _database(self, postgres_url: str) -> Iterator[None]:
        with postgres_process.fresh_database(postgres_url) as url:
            self.url = Settings.model_validate({"database_url": url}).sqlalchemy_url()
            yield


@pytest.mark.integration
class TestOutbox(Fresh, OutboxPromises):
    pass


@pytest.mark.integration
class TestPostgres(Fresh, Promises, ProcessPromises):
    def test_a_slow_statement_ends_after_three_seconds(self, catalog: Catalog) -> None:
        with pytest.raises(CatalogUnavailable, match="statement timeout"), catalog.read() as session:
            session.execute(text("SELECT pg_sleep(8)"))

    def test_a_change_of_the_schema_may_take_its_time(self, catalog: Catalog) -> None:
        engine = open_engine(self.url, patient=True)
        with engine.connect() as connection:
            assert connection.execute(text("SHOW statement_timeout")).scalar() == "0"
        engine.dispose()

    def test_connection_cut_by_the_server_is_replaced(self, catalog: Catalog) -> None:
        with catalog.read() as session:
            mine = session.scalar(text("SELECT pg_backend_pid()"))
        other = Catalog(self.url)
        with other.write() as session:
            session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
        other.close()
        with catalog.read() as session:
            assert session.scalar(text("SELECT 1")) == 1


@pytest.mark.integration
def test_server_that_is_away_is_catalog_unavailable() -> None:
    with (
        pytest.raises(CatalogUnavailable, match=r"127\.0\.0\.1:1/teal"),
        Catalog("postgresql+psycopg://teal@127.0.0.1:1/teal").read() as session,
    ):
        session.execute(text("SELECT 1"))
