"""Tuning advice as tables: which statistics lead to which advice, and that a well kept part gets none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.statistics import advice
from app.statistics.advice import Advice
from app.statistics.elasticsearch import (
    ElasticsearchStatistics,
    NodeStatistics,
    SearchIndex,
    index_statistics,
    node_statistics,
    seconds,
)
from app.statistics.postgres import IndexStatistics, PostgresStatistics, TableStatistics

GIB = 1024**3
NODE = NodeStatistics("es-0", heap_used_bytes=GIB, heap_limit_bytes=2 * GIB, memory_bytes=8 * GIB, disk_bytes=100 * GIB, disk_free_bytes=60 * GIB, rejected=0)  # fmt: skip
INDEX = SearchIndex("teal-000001", shards=1, replicas=1, bytes=20 * GIB, documents=5_000_000, deleted=10_000, refresh_seconds=1,
                    refreshes=50_000, spent_refreshing_seconds=250, queries=10, spent_querying_seconds=1)  # fmt: skip
ENGINE = ElasticsearchStatistics("green", data_nodes=3, unassigned_shards=0, nodes=(NODE,), index=INDEX)
TABLE = TableStatistics("public.documents", live_rows=100_000, dead_rows=5_000, bytes=GIB, sequential_scans=3, sequential_rows=300_000,
              index_scans=900_000, vacuumed_at=None)  # fmt: skip
USED = IndexStatistics("public.documents_status", "public.documents", scans=40, bytes=50_000_000, constraint=False, valid=True)
DATABASE = PostgresStatistics(bytes=GIB, connections=20, connections_limit=100, longest_transaction_seconds=0.2, slow_statements=0,
                    counted_days=30, tables=(TABLE,), indexes=(USED,))  # fmt: skip


def with_index(**changes: Any) -> ElasticsearchStatistics:
    return replace(ENGINE, index=replace(INDEX, **changes))


def with_node(**changes: Any) -> ElasticsearchStatistics:
    return replace(ENGINE, nodes=(replace(NODE, **changes),))


SEARCH = [
    (with_index(bytes=120 * GIB), "SHARDS=3 "),
    (with_index(documents=450_000_000), "SHARDS=3 "),
    (with_index(shards=5, bytes=2 * GIB), "SHARDS=1 "),
    (with_index(replicas=3), "REPLICAS=2, or 1 nodes more"),
    (with_index(replicas=0), "REPLICAS=1"),
    (with_index(spent_refreshing_seconds=5_000), "REFRESH_INTERVAL=30s"),
    (with_index(deleted=4_000_000), "only_expunge_deletes"),
    (with_node(heap_limit_bytes=6 * GIB), "half the memory"),
    (with_node(heap_limit_bytes=40 * GIB, memory_bytes=128 * GIB), "31 GiB at most"),
    (with_node(heap_used_bytes=int(1.9 * GIB)), "more heap or fewer shards"),
    (with_node(disk_free_bytes=20 * GIB), "larger disk"),
    (with_node(rejected=7), "WORKER_CONCURRENCY"),
]
NOTHING = [
    ENGINE,
    replace(ENGINE, index=None),
    replace(with_index(replicas=0), data_nodes=1),  # one node: a copy would have no place
    with_index(spent_refreshing_seconds=5_000, refresh_seconds=-1),  # off already
    with_index(spent_refreshing_seconds=500, refreshes=900),  # too few to say anything
]


@pytest.mark.parametrize(("engine", "wanted"), SEARCH, ids=[wanted for _, wanted in SEARCH])
def test_advice_for_elasticsearch(engine: ElasticsearchStatistics, wanted: str) -> None:
    (found,) = advice.elasticsearch_advice(engine)
    assert wanted in f"{found.do} "
    complete(found)


@pytest.mark.parametrize("engine", NOTHING)
def test_a_well_kept_elasticsearch_gets_none(engine: ElasticsearchStatistics) -> None:
    assert list(advice.elasticsearch_advice(engine)) == []


UNUSED = replace(USED, scans=0)
DATABASES = [
    (replace(DATABASE, indexes=(UNUSED,)), "DROP INDEX CONCURRENTLY public.documents_status"),
    (replace(DATABASE, indexes=(replace(USED, valid=False),)), "REINDEX INDEX CONCURRENTLY"),
    (
        replace(DATABASE, tables=(replace(TABLE, sequential_scans=2_000, sequential_rows=200_000_000, index_scans=10),)),
        "give it an index",
    ),
    (replace(DATABASE, tables=(replace(TABLE, dead_rows=40_000),)), "autovacuum_vacuum_scale_factor = 0.05"),
    (replace(DATABASE, tables=(replace(TABLE, dead_rows=90_000),)), "VACUUM (ANALYZE) public.documents"),
    (replace(DATABASE, connections=90), "fewer processes"),
    (replace(DATABASE, longest_transaction_seconds=900), "pg_terminate_backend"),
]
CALM = [
    DATABASE,
    replace(DATABASE, indexes=(replace(UNUSED, constraint=True),)),  # it works without being scanned
    replace(DATABASE, indexes=(replace(UNUSED, bytes=8_192),)),
    replace(DATABASE, indexes=(UNUSED,), counted_days=2),  # a weekly job had no chance to use it
    replace(DATABASE, tables=(replace(TABLE, live_rows=300, dead_rows=200, sequential_scans=10_000, sequential_rows=3_000_000),)),
    replace(DATABASE, tables=(replace(TABLE, sequential_scans=2_000, sequential_rows=20_000, index_scans=10),)),  # stops early
]


@pytest.mark.parametrize(("database", "wanted"), DATABASES, ids=[wanted for _, wanted in DATABASES])
def test_advice_for_postgres(database: PostgresStatistics, wanted: str) -> None:
    (found,) = advice.postgres_advice(database)
    assert wanted in found.do
    complete(found)


@pytest.mark.parametrize("database", CALM)
def test_a_well_kept_postgres_gets_none(database: PostgresStatistics) -> None:
    assert list(advice.postgres_advice(database)) == []


def complete(found: Advice) -> None:
    assert all((found.part, found.about, found.found, found.do, found.why, found.source))


@pytest.mark.parametrize(("interval", "expected"), [("1s", 1.0), ("500ms", 0.5), ("-1", -1.0), ("2m", 120.0), ("30s", 30.0)])
def test_intervals_as_elasticsearch_writes_them(interval: str, expected: float) -> None:
    assert seconds(interval) == expected


def test_statistics_from_elasticsearch_s_own_answers() -> None:
    """The forms of `_nodes/stats`, `_stats` and `_settings`, cut to what is read."""
    found = node_statistics(
        {
            "name": "es-0",
            "jvm": {"mem": {"heap_used_in_bytes": 5, "heap_max_in_bytes": 10}},
            "os": {"mem": {"total_in_bytes": 40}},
            "fs": {"total": {"total_in_bytes": 100, "available_in_bytes": 60}},
            "thread_pool": {"search": {"rejected": 2}, "write": {"rejected": 1}, "get": {"rejected": 9}},
        }
    )
    assert found == NodeStatistics("es-0", 5, 10, 40, 100, 60, 3)
    stats = {
        "store": {"size_in_bytes": 7}, "docs": {"count": 3, "deleted": 1}, "refresh": {"total": 4, "total_time_in_millis": 500},
        "search": {"query_total": 8, "query_time_in_millis": 250},
    }  # fmt: skip
    described = {
        "settings": {"index.number_of_shards": "1", "index.number_of_replicas": "0"},
        "defaults": {"index.refresh_interval": "1s"},
    }
    assert index_statistics("teal-000001", {"primaries": stats, "total": stats}, described) == SearchIndex(
        "teal-000001", 1, 0, 7, 3, 1, 1.0, 4, 0.5, 8, 0.25
    )
