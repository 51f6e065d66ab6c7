"""PostgreSQL's own statistics of the catalog's database, read with four queries. The columns are explained in
PostgreSQL's manual, "The Cumulative Statistics System". All sessions are counted, even when the user may not see
the details of other users' sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

SLOW_SECONDS: Final = 1.0  # a statement of the service takes milliseconds


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """One table, in rows and bytes. Scans are counted since the statistics began. `bytes`
    includes its indexes and long (TOAST) values."""

    name: str
    live_rows: int
    dead_rows: int
    bytes: int
    sequential_scans: int
    sequential_rows: int
    index_scans: int
    vacuumed_at: datetime | None

    @property
    def dead_share(self) -> float:
        """The share of rows that are dead: no transaction can see them any more."""
        return self.dead_rows / (self.live_rows + self.dead_rows) if self.dead_rows else 0.0


@dataclass(frozen=True, slots=True)
class IndexStatistics:
    """One index. `constraint`: it enforces a primary key, uniqueness or an exclusion, and so
    is needed even if it is never scanned."""

    name: str
    table: str
    scans: int
    bytes: int
    constraint: bool
    valid: bool


@dataclass(frozen=True, slots=True)
class PostgresStatistics:
    """The current statistics of the database. `counted_days`: the number of days for which scans have been counted at least."""

    bytes: int
    connections: int
    connections_limit: int
    longest_transaction_seconds: float
    slow_statements: int
    counted_days: float
    tables: Sequence[TableStatistics]
    indexes: Sequence[IndexStatistics]


_DATABASE: Final = text("""
    SELECT pg_database_size(current_database()) AS bytes,
           (SELECT sum(numbackends) FROM pg_stat_database) AS connections,
           current_setting('max_connections')::int AS connections_limit,
           extract(epoch FROM now() - coalesce(stats_reset, pg_postmaster_start_time())) / 86400 AS counted_days
    FROM pg_stat_database WHERE datname = current_database()""")
_SESSIONS: Final = text("""
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) AS longest,
           count(*) FILTER (WHERE state = 'active' AND clock_timestamp() - query_start > make_interval(secs => :slow)) AS slow
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'""")
_TABLES: Final = text("""
    SELECT schemaname || '.' || relname AS name, n_live_tup, n_dead_tup, pg_total_relation_size(relid) AS bytes,
           seq_scan, seq_tup_read, coalesce(idx_scan, 0) AS idx_scan, greatest(last_vacuum, last_autovacuum) AS vacuumed_at
    FROM pg_stat_user_tables ORDER BY 1""")
_INDEXES: Final = text("""
    SELECT s.schemaname || '.' || s.indexrelname AS name, s.schemaname || '.' || s.relname AS table_name, s.idx_scan,
           pg_relation_size(s.indexrelid) AS bytes, i.indisvalid,
           i.indisunique OR i.indisprimary OR i.indisexclusion AS is_constraint
    FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid) ORDER BY 1""")


def collect_postgres(connection: Connection) -> PostgresStatistics:
    """Read the current statistics."""
    database = connection.execute(_DATABASE).one()
    sessions = connection.execute(_SESSIONS, {"slow": SLOW_SECONDS}).one()
    return PostgresStatistics(
        bytes=int(database.bytes),
        connections=int(database.connections),
        connections_limit=int(database.connections_limit),
        longest_transaction_seconds=float(sessions.longest),
        slow_statements=int(sessions.slow),
        counted_days=float(database.counted_days),
        tables=tuple(_table(row) for row in connection.execute(_TABLES)),
        indexes=tuple(
            IndexStatistics(row.name, row.table_name, row.idx_scan, row.bytes, row.is_constraint, row.indisvalid)
            for row in connection.execute(_INDEXES)
        ),
    )


def _table(row: Any) -> TableStatistics:
    return TableStatistics(
        row.name, row.n_live_tup, row.n_dead_tup, row.bytes, row.seq_scan, row.seq_tup_read, row.idx_scan, row.vacuumed_at
    )
