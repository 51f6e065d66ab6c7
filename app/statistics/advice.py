"""Tuning advice derived from the statistics by pure functions; each rule has its reason and its source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.statistics.elasticsearch import ElasticsearchStatistics, NodeStatistics, SearchIndex
from app.statistics.postgres import IndexStatistics, PostgresStatistics, TableStatistics

_GIB: Final = 1024**3
_MIB: Final = 1024**2

_SHARDS: Final = 'Elasticsearch guide, "Size your shards"'
_HEAP: Final = 'Elasticsearch guide, "JVM settings: set the JVM heap size"'
_INDEXING: Final = 'Elasticsearch guide, "Tune for indexing speed"'
_WATERMARKS: Final = 'Elasticsearch guide, "Disk-based shard allocation settings"'
_RESILIENCE: Final = 'Elasticsearch guide, "Designing for resilience"'
_REJECTED: Final = 'Elasticsearch guide, "Rejected requests"'
_STATISTICS: Final = 'PostgreSQL manual, "The Cumulative Statistics System"'
_VACUUM: Final = 'PostgreSQL manual, "Routine Vacuuming"'
_REINDEX: Final = 'PostgreSQL manual, "CREATE INDEX: Building Indexes Concurrently"'
_CONNECTIONS: Final = 'PostgreSQL manual, "Connections and Authentication"'

LARGEST_SHARD_BYTES: Final = 50 * _GIB  # "aim for shard sizes between 10GB and 50GB"
MOST_SHARD_DOCUMENTS: Final = 200_000_000  # "keep the number of documents on a shard below 200 million"
SMALL_SHARD_BYTES: Final = 1 * _GIB  # a tenth of the guide's lower limit: several such shards only cost
HEAP_OF_MEMORY: Final = 0.5  # "no more than 50% of your total memory"
LARGEST_HEAP_BYTES: Final = 31 * _GIB  # beyond it pointers are no longer compressed
FULL_HEAP: Final = 0.85
FULL_DISK: Final = 0.75  # ten points below the low watermark, 85 %
SLOW_REFRESH_SECONDS: Final = 0.05  # a twentieth of the default interval
MANY_REFRESHES: Final = 1_000
LONG_REFRESH_SECONDS: Final = 30.0
MANY_DELETED: Final = 0.33  # the share above which Lucene's merge policy itself removes deleted documents
MANY_DOCUMENTS: Final = 100_000

LARGE_INDEX_BYTES: Final = 1 * _MIB  # smaller indexes cost too little to be worth a change
COUNTED_DAYS: Final = 7.0  # long enough to include the scans of a weekly job
MANY_ROWS: Final = 10_000  # below this reading the whole table is as fast as an index
MANY_SCANS: Final = 100
WHOLE_TABLE: Final = 0.5  # average share of a table's rows that one scan reads
SOME_DEAD: Final = 0.2  # autovacuum's default scale factor
MANY_DEAD: Final = 0.4
BUSY_CONNECTIONS: Final = 0.8
LONG_TRANSACTION_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Advice:
    """One finding about one thing: what was seen, what to do, why, and the source of the rule."""

    part: str
    about: str
    found: str
    do: str
    why: str
    source: str


def elasticsearch_advice(engine: ElasticsearchStatistics) -> Iterator[Advice]:
    """Advice on shards, replicas, refresh, heap, disk and rejected requests."""
    if engine.index is not None:
        yield from _index(engine, engine.index)
    for node in engine.nodes:
        yield from _node(node)


def postgres_advice(database: PostgresStatistics) -> Iterator[Advice]:
    """Advice on unused and missing indexes, dead rows, connections and long transactions."""
    for index in database.indexes:
        yield from _database_index(index, database.counted_days)
    for table in database.tables:
        yield from _table(table)
    used = database.connections / database.connections_limit
    if used > BUSY_CONNECTIONS:
        yield _postgres(
            "connections", f"{database.connections} of {database.connections_limit} are open",
            "fewer processes, or a larger database class; on AWS max_connections follows the class",
            "at the limit new processes cannot connect, those of a release first", _CONNECTIONS,
        )  # fmt: skip
    if database.longest_transaction_seconds > LONG_TRANSACTION_SECONDS:
        yield _postgres(
            "transactions", f"one is open for {database.longest_transaction_seconds:.0f} s",
            "find it in pg_stat_activity by xact_start, and end it: SELECT pg_terminate_backend(pid)",
            "vacuum removes no row that it might still see, and it may hold locks", _VACUUM,
        )  # fmt: skip


def _index(engine: ElasticsearchStatistics, index: SearchIndex) -> Iterator[Advice]:
    each = index.bytes / index.shards
    documents = index.documents / index.shards
    if each > LARGEST_SHARD_BYTES or documents > MOST_SHARD_DOCUMENTS:
        wanted = max(-(-index.bytes // LARGEST_SHARD_BYTES), -(-index.documents // MOST_SHARD_DOCUMENTS))
        yield _search(
            index.name, f"{index.shards} shards of {each / _GIB:.0f} GiB and {documents:,.0f} documents each",
            f"TEAL_ELASTICSEARCH_SHARDS={wanted} for the next index, and rebuild into it",
            "large shards are slow to recover and to search; 10 to 50 GB and below 200 million documents is the advised size", _SHARDS,
        )  # fmt: skip
    elif index.shards > 1 and each < SMALL_SHARD_BYTES:
        yield _search(
            index.name, f"{index.shards} shards of {each / _MIB:.0f} MiB each", "TEAL_ELASTICSEARCH_SHARDS=1 for the next index",
            "each shard costs heap and a thread per search, and scores words by its own counts", _SHARDS,
        )  # fmt: skip
    if index.replicas >= engine.data_nodes:
        fits = engine.data_nodes - 1
        yield _search(
            index.name, f"{index.replicas} replicas on {engine.data_nodes} data nodes",
            f"TEAL_ELASTICSEARCH_REPLICAS={fits}, or {index.replicas + 1 - engine.data_nodes} nodes more",
            "two copies of a shard are never on one node: the rest stays unassigned and the cluster yellow", _RESILIENCE,
        )  # fmt: skip
    elif index.replicas == 0 and engine.data_nodes > 1:
        yield _search(
            index.name, f"no replica, though there are {engine.data_nodes} data nodes", "TEAL_ELASTICSEARCH_REPLICAS=1",
            "without a copy the loss of one node takes the index away until it is restored", _RESILIENCE,
        )  # fmt: skip
    refresh = index.spent_refreshing_seconds / index.refreshes if index.refreshes else 0.0
    if index.refreshes >= MANY_REFRESHES and refresh > SLOW_REFRESH_SECONDS and 0 < index.refresh_seconds < LONG_REFRESH_SECONDS:
        yield _search(
            index.name, f"a refresh takes {1000 * refresh:.0f} ms on average, each {index.refresh_seconds:g} s",
            f"TEAL_ELASTICSEARCH_REFRESH_INTERVAL={LONG_REFRESH_SECONDS:g}s",
            "the worker itself refreshes when a document is complete, so the interval only adds work", _INDEXING,
        )  # fmt: skip
    total = index.documents + index.deleted
    if total > MANY_DOCUMENTS and index.deleted / total > MANY_DELETED:
        yield _search(
            index.name, f"{100 * index.deleted / total:.0f} % of its documents are deleted ones",
            f"in a quiet hour: POST {index.name}/_forcemerge?only_expunge_deletes=true",
            "deleted documents are still read by every search until their segments are merged", _INDEXING,
        )  # fmt: skip


def _node(node: NodeStatistics) -> Iterator[Advice]:
    heap = node.heap_limit_bytes / node.memory_bytes
    if heap > HEAP_OF_MEMORY:
        yield _search(
            node.name, f"the heap is {100 * heap:.0f} % of the memory", "a heap of half the memory, or more memory",
            "Lucene reads its files through the rest; vectors most of all", _HEAP,
        )  # fmt: skip
    if node.heap_limit_bytes > LARGEST_HEAP_BYTES:
        yield _search(
            node.name, f"a heap of {node.heap_limit_bytes / _GIB:.0f} GiB", "31 GiB at most, and more nodes instead",
            "above that pointers are not compressed, and the same heap holds less", _HEAP,
        )  # fmt: skip
    used = node.heap_used_bytes / node.heap_limit_bytes
    if used > FULL_HEAP:
        yield _search(
            node.name, f"{100 * used:.0f} % of the heap are used", "look again in a minute; if it stays, more heap or fewer shards",
            "a heap that stays full spends its time on garbage, then refuses requests", _HEAP,
        )  # fmt: skip
    disk = 1 - node.disk_free_bytes / node.disk_bytes
    if disk > FULL_DISK:
        yield _search(
            node.name, f"{100 * disk:.0f} % of the disk are used", "a larger disk (it grows without a restart), or fewer documents",
            "from 85 % a node gets no more shards, from 95 % its indices are read-only", _WATERMARKS,
        )  # fmt: skip
    if node.rejected:
        yield _search(
            node.name, f"{node.rejected} requests refused since its start", "more nodes or processors; a smaller TEAL_WORKER_CONCURRENCY",
            "its queues were full", _REJECTED,
        )  # fmt: skip


def _database_index(index: IndexStatistics, counted_days: float) -> Iterator[Advice]:
    if not index.valid:
        yield _postgres(
            index.name, "it is invalid: its building was cut off", f"REINDEX INDEX CONCURRENTLY {index.name}",
            "no query uses it, and every write pays for it", _REINDEX,
        )  # fmt: skip
    elif index.scans == 0 and not index.constraint and index.bytes > LARGE_INDEX_BYTES and counted_days >= COUNTED_DAYS:
        yield _postgres(
            index.name, f"not used in {counted_days:.0f} days, {index.bytes / _MIB:.0f} MiB",
            f"a contract migration with DROP INDEX CONCURRENTLY {index.name}, unless a replica or a yearly job uses it",
            "every write of its table pays for it", _STATISTICS,
        )  # fmt: skip


def _table(table: TableStatistics) -> Iterator[Advice]:
    rows = table.live_rows + table.dead_rows
    if rows < MANY_ROWS:
        return
    read = table.sequential_rows / table.sequential_scans if table.sequential_scans else 0.0
    if table.sequential_scans >= max(MANY_SCANS, table.index_scans) and read > WHOLE_TABLE * rows:
        yield _postgres(
            table.name, f"read whole {table.sequential_scans} times, by an index {table.index_scans} times; {rows:,} rows",
            "find the statement (pg_stat_statements, EXPLAIN), and give it an index by an expand migration",
            "a scan of the whole table grows with it, an index hardly does", _STATISTICS,
        )  # fmt: skip
    if table.dead_share > SOME_DEAD:
        urgent = table.dead_share > MANY_DEAD
        yield _postgres(
            table.name, f"{100 * table.dead_share:.0f} % of {rows:,} rows are dead",
            f"VACUUM (ANALYZE) {table.name}" if urgent else f"ALTER TABLE {table.name} SET (autovacuum_vacuum_scale_factor = 0.05)",
            "scans read dead rows too, and the file does not shrink by itself", _VACUUM,
        )  # fmt: skip


def _search(about: str, found: str, do: str, why: str, source: str) -> Advice:
    return Advice("elasticsearch", about, found, do, why, source)


def _postgres(about: str, found: str, do: str, why: str, source: str) -> Advice:
    return Advice("postgres", about, found, do, why, source)
