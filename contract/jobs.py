"""The queues of background work, as the service fills them and as the autoscaler of workers counts them."""

from __future__ import annotations

from typing import Final

INGEST: Final = "ingest"  # a workflow's name is its queue's
REMOVE: Final = "remove"
QUEUES: Final = (INGEST, REMOVE)
STATUS_TABLE: Final = "dbos.workflow_status"  # DBOS's own, one row a job
WAITING: Final = ("ENQUEUED", "PENDING")  # DBOS's words for jobs that wait and that run


def count_waiting(release_id: str) -> str:
    """SQL: how many jobs of one release wait or run. The other color's jobs are its own workers' until they are transferred."""
    states, queues = (", ".join(f"'{one}'" for one in names) for names in (WAITING, QUEUES))
    return (
        f"SELECT count(*) FROM {STATUS_TABLE} WHERE status IN ({states})"  # noqa: S608 - constants, and a ReleaseId, which holds no quote
        f" AND queue_name IN ({queues}) AND application_version = '{release_id}'"
    )
