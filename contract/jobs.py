"""The queues of background jobs, which the service fills and the autoscaler of workers counts."""

from __future__ import annotations

from typing import Final

INGEST: Final = "ingest"  # the name of a queue is also the name of its workflow
REMOVE: Final = "remove"
QUEUES: Final = (INGEST, REMOVE)
STATUS_TABLE: Final = "dbos.workflow_status"  # DBOS's own table, one row for each job
WAITING: Final = ("ENQUEUED", "PENDING")  # DBOS's states of a job that waits and of one that runs


def count_waiting(release_id: str) -> str:
    """SQL that counts the waiting and running jobs of one release; the other color's jobs
    are its own workers' until a transfer."""
    states, queues = (", ".join(f"'{one}'" for one in names) for names in (WAITING, QUEUES))
    return (
        f"SELECT count(*) FROM {STATUS_TABLE} WHERE status IN ({states})"  # noqa: S608 - constants, and a ReleaseId, which holds no quote
        f" AND queue_name IN ({queues}) AND application_version = '{release_id}'"
    )
