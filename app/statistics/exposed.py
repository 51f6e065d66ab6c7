"""Exports the statistics as metrics. A count that a part keeps since its own start becomes a
counter that survives the part's restart."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import Counter, Gauge

from app.settings import Settings
from app.statistics.postgres import PostgresStatistics

if TYPE_CHECKING:
    from app.statistics.elasticsearch import ElasticsearchStatistics


def _unknown(name: str, help_: str) -> Gauge:
    """A gauge that is NaN until its first reading, so that an unconfigured part does not look like one whose value is 0."""
    gauge = Gauge(name, help_)
    gauge.set(math.nan)
    return gauge


SEARCH_STATUS: Final = _unknown("teal_search_status", "Of Elasticsearch's cluster: 0 green, 1 yellow, 2 red")
SEARCH_UNASSIGNED: Final = _unknown("teal_search_unassigned_shards", "Shards that are on no node")
SEARCH_HEAP: Final = Gauge("teal_search_heap_used_share", "Of a node's heap", ("node",))
SEARCH_DISK: Final = Gauge("teal_search_disk_used_share", "Of a node's disk; 0.85 is Elasticsearch's low watermark", ("node",))
SEARCH_REJECTED: Final = Counter("teal_search_rejected_total", "Searches and writes that a full queue refused")
SEARCH_QUERIES: Final = Counter("teal_search_queries_total", "Queries on shards")
SEARCH_SECONDS: Final = Counter("teal_search_query_seconds_total", "Time that shards spent on queries")
INDEX_BYTES: Final = _unknown("teal_search_index_bytes", "Of the index's primaries, or of the embedded index's file")
INDEX_DOCUMENTS: Final = _unknown("teal_search_index_documents", "Passages in the index as the engine counts them")
DATABASE_BYTES: Final = _unknown("teal_database_bytes", "Of the catalog and jobs database")
DATABASE_CONNECTIONS: Final = _unknown("teal_postgres_connections", "Open connections to the server")
DATABASE_LIMIT: Final = _unknown("teal_postgres_connections_limit", "max_connections")
DATABASE_LONGEST: Final = _unknown("teal_postgres_longest_transaction_seconds", "Age of the oldest open transaction of a client")
DATABASE_SLOW: Final = _unknown("teal_postgres_slow_statements", "Statements that run for more than a second now")
DATABASE_DEAD: Final = Gauge("teal_postgres_dead_rows_share", "Rows of a table that nobody can see any more", ("table",))
REDIS_MEMORY: Final = _unknown("teal_redis_memory_bytes", "Memory that Redis uses")
REDIS_LIMIT: Final = _unknown("teal_redis_memory_limit_bytes", "maxmemory; 0 is none")
REDIS_CLIENTS: Final = _unknown("teal_redis_clients", "Open connections to Redis")
REDIS_EVICTED: Final = Counter("teal_redis_evicted_keys_total", "Keys that Redis threw out for want of memory")
REDIS_LOOKUPS: Final = Counter("teal_redis_lookups_total", "Keys that were asked for", ("outcome",))
DISK_FREE: Final = _unknown("teal_disk_free_bytes", "Free on the disk that holds the process's data")
FEWEST_ROWS: Final = 1_000  # autovacuum starts at 50 dead rows, a meaninglessly large share of a smaller table


class StatisticsExporter:
    """Sets the metrics from statistics; remembers the previous counts of the parts."""

    def __init__(self) -> None:
        self._before: dict[str, float] = {}

    def search(self, found: ElasticsearchStatistics) -> None:
        SEARCH_STATUS.set({"green": 0, "yellow": 1, "red": 2}[found.status])
        SEARCH_UNASSIGNED.set(found.unassigned_shards)
        for node in found.nodes:
            SEARCH_HEAP.labels(node.name).set(node.heap_used_bytes / node.heap_limit_bytes)
            SEARCH_DISK.labels(node.name).set(1 - node.disk_free_bytes / node.disk_bytes)
        self._follow("rejected", SEARCH_REJECTED, sum(node.rejected for node in found.nodes))
        if found.index is not None:
            INDEX_BYTES.set(found.index.bytes)
            INDEX_DOCUMENTS.set(found.index.documents)
            self._follow("queries", SEARCH_QUERIES, found.index.queries)
            self._follow("querying", SEARCH_SECONDS, found.index.spent_querying_seconds)

    def postgres(self, found: PostgresStatistics) -> None:
        DATABASE_BYTES.set(found.bytes)
        DATABASE_CONNECTIONS.set(found.connections)
        DATABASE_LIMIT.set(found.connections_limit)
        DATABASE_LONGEST.set(found.longest_transaction_seconds)
        DATABASE_SLOW.set(found.slow_statements)
        for table in found.tables:
            small = table.live_rows + table.dead_rows < FEWEST_ROWS
            DATABASE_DEAD.labels(table.name).set(0 if small else table.dead_share)

    def redis(self, info: Mapping[str, Any]) -> None:
        """Set Redis's metrics from the answer of its INFO command."""
        REDIS_MEMORY.set(info["used_memory"])
        REDIS_LIMIT.set(info["maxmemory"])
        REDIS_CLIENTS.set(info["connected_clients"])
        self._follow("evicted", REDIS_EVICTED, info["evicted_keys"])
        for outcome, name in (("hit", "keyspace_hits"), ("miss", "keyspace_misses")):
            self._follow(name, REDIS_LOOKUPS.labels(outcome), info[name])

    def files(self, settings: Settings) -> None:
        """Set the free disk space, and the sizes of the SQLite catalog and of the embedded index where they are used."""
        folder = settings.state_dir.resolve()
        if not folder.is_dir():
            return
        DISK_FREE.set(shutil.disk_usage(folder).free)
        if settings.database_url is None:
            DATABASE_BYTES.set(_bytes(settings, "catalog.db*") + _bytes(settings, "dbos.db*"))
        if settings.search == "embedded":
            INDEX_BYTES.set(_bytes(settings, "search*.db*"))

    def _follow(self, name: str, counter: Counter, total: float) -> None:
        before = self._before.get(name)
        self._before[name] = total
        if before is not None:
            counter.inc(total - before if total >= before else total)  # a smaller total means that the part was restarted


def _bytes(settings: Settings, pattern: str) -> int:
    return sum(path.stat().st_size for path in settings.state_dir.resolve().glob(pattern))
