"""PostgreSQL settings that differ from RDS's defaults, each with its reason. A test asks a real PostgreSQL to accept each."""

from __future__ import annotations

from typing import Literal, NamedTuple


class DatabaseParameter(NamedTuple):
    """One setting. `value` is in PostgreSQL's own unit of it, named in `why`; `pending-reboot` waits for a restart."""

    name: str
    value: str
    why: str
    apply_method: Literal["immediate", "pending-reboot"] = "immediate"


def parameters() -> tuple[DatabaseParameter, ...]:
    """All of them. RDS's own begin with `rds.`."""
    return (
        DatabaseParameter("rds.force_ssl", "1", "no password or document crosses the network in the clear"),
        DatabaseParameter(
            "log_min_duration_statement", "500", "ms; the service's slowest own statement takes tens of ms, so these are news"
        ),
        DatabaseParameter("log_lock_waits", "1", "a migration that waits for a lock holds up everybody behind it"),
        DatabaseParameter("log_temp_files", "10240", "kB; sorts that spill to disk want an index or memory"),
        DatabaseParameter("log_autovacuum_min_duration", "1000", "ms; shows whether vacuum keeps up"),
        DatabaseParameter("log_connections", "1", "who connected, when something was changed by hand"),
        DatabaseParameter("track_io_timing", "1", "tells waiting for the disk from waiting for the CPU"),
        # Rows of the jobs table change a few times and are then deleted, so this small table has many dead rows.
        DatabaseParameter(
            "autovacuum_vacuum_scale_factor",
            "0.05",
            "share of dead rows; the default of 0.2 lets the queue's table grow fourfold",
        ),
        DatabaseParameter(
            "autovacuum_analyze_scale_factor", "0.02", "share of changed rows; stale counts choose full scans of the queue"
        ),
        DatabaseParameter(
            "autovacuum_vacuum_insert_scale_factor",
            "0.1",
            "share of new rows; after a large ingestion the visibility map is soon whole",
        ),
        DatabaseParameter("autovacuum_naptime", "15", "s; a full queue turns over in less than the default minute"),
        DatabaseParameter(
            "idle_in_transaction_session_timeout", "60000", "ms; a pod that hangs in a transaction must not stop vacuum"
        ),
    )
