"""What PostgreSQL, Elasticsearch and Redis say of themselves: as the worker's metrics, and as advice that finds what was done to them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.parts.app.service import Service, add, until
from tests.services.postgres_process import fresh_database
from tests.services.redis_process import RedisProcess

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:  # nobody else's tables are advised on, and nobody else's index is waited for
        yield url


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, database: str, elasticsearch_url: str, redis_server: RedisProcess
) -> Iterator[Service]:
    environment = {
        "DATABASE_URL": database,
        "REDIS_URL": redis_server.url,
        "ELASTICSEARCH_URL": elasticsearch_url,
        "TEAL_SEARCH": "elasticsearch",
        "TEAL_INDEX": f"statistics-{uuid.uuid4().hex[:8]}",
        "TEAL_ELASTICSEARCH_REPLICAS": "1",  # of which one node can hold none
        "TEAL_EMBEDDING": "none",
    }
    running = Service(tmp_path_factory.mktemp("statistics"), environment).start()
    yield running
    running.stop()


def metrics(service: Service) -> dict[str, float]:
    """The worker's, by name with labels."""
    text = httpx.get(service.peers()[-1]).text
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_worker_reports_the_parts_behind_it(service: Service) -> None:
    with service.client("writer") as writer:
        add(writer, "Lighthouse", "The lighthouse stood on an island.")
    until("statistics of Redis, which is asked last", lambda: metrics(service).get("teal_redis_memory_bytes", 0) > 0)
    found = metrics(service)
    assert found["teal_postgres_connections"] <= found["teal_postgres_connections_limit"] == 100
    assert found["teal_database_bytes"] > 1_000_000
    assert found["teal_postgres_dead_rows_share|public.documents"] == 0  # too few rows for a share
    assert found["teal_search_status"] == 1  # yellow: the copy has no place
    assert found["teal_search_unassigned_shards"] >= 1
    (heap,) = [value for name, value in found.items() if name.startswith("teal_search_heap_used_share|")]
    assert 0 < heap < 1
    assert found["teal_redis_memory_bytes"] > 100_000


def test_advice_names_what_was_done_to_both_and_why(service: Service, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE bulky (id int, word text) WITH (autovacuum_enabled = false)")
        connection.execute("INSERT INTO bulky SELECT n, 'word ' || n FROM generate_series(1, 40000) n")
        connection.execute("DELETE FROM bulky WHERE id > 10000")
        connection.execute("CREATE INDEX bulky_word ON bulky (word)")
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'bulky_word'::regclass")

    def advised() -> dict[str, dict[str, str]]:
        return {row["about"]: row for row in service.admin("advise") if "do" in row}

    until("advice for the bloated table", lambda: "public.bulky" in advised(), each_seconds=0.5)
    found = advised()
    assert found["public.bulky"]["do"] == "VACUUM (ANALYZE) public.bulky"
    assert "75 % of 40,000 rows are dead" in found["public.bulky"]["found"]
    assert found["public.bulky_word"]["do"] == "REINDEX INDEX CONCURRENTLY public.bulky_word"
    (search,) = [row for row in found.values() if row["part"] == "elasticsearch" and "replicas" in row["found"]]
    assert search["do"].startswith("TEAL_ELASTICSEARCH_REPLICAS=0")
    assert all(row["why"] and row["source"] for row in found.values())
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'bulky_word'::regclass")
        connection.execute(found["public.bulky"]["do"])  # it is a statement that works
    until("that there is no more to say", lambda: "public.bulky" not in advised(), each_seconds=0.5)
    looked = [row for row in service.admin("advise") if "looked_at" in row]
    assert [row["part"] for row in looked] == ["elasticsearch", "postgres"]
