"""Job transfer: moves the unfinished jobs of a release that ends to another release. DBOS
itself never moves jobs between releases.

An ingestion is cancelled and queued again under the document's next revision, as housekeeping does for a worker that is gone; so
later writes of the old worker have no effect. A removal has no revision, so it is cancelled and forked.
"""

from __future__ import annotations

from typing import Final

from app.catalog import ingestion_queries
from app.catalog.engine import Catalog
from app.catalog.ingestion_queries import Job
from app.errors import CatalogUnavailable
from app.ingestion.job_queue import INGEST, Jobs, UnfinishedJob
from app.settings import Settings

_ROUNDS: Final = 5  # an app process of the release that ends may have enqueued jobs during a round


def unfinished_jobs(settings: Settings, release_id: str) -> int:
    """The number of unfinished jobs of the release."""
    jobs = Jobs(settings)
    try:
        return len(jobs.unfinished(release_id))
    finally:
        jobs.close()


def transfer_jobs(settings: Settings, source: str, target: str) -> int:
    """Move all jobs from release `source` to `target`; returns how many. Raises CatalogUnavailable, with the number of jobs that
    are left, if it cannot move all. Calling it again moves new jobs."""
    jobs = Jobs(settings.model_copy(update={"release_id": target}))
    catalog = Catalog(settings.sqlalchemy_url())
    moved = 0
    try:
        for _ in range(_ROUNDS):
            found = jobs.unfinished(source)
            if not found:
                return moved
            for one in found:
                _move(catalog, jobs, one)
            moved += len(found)
        if remaining := len(jobs.unfinished(source)):
            raise CatalogUnavailable(
                f"{remaining} jobs of {source} remain: something still enqueues under it. Next: stop its processes."
            )
        return moved
    finally:
        jobs.close()
        catalog.close()


def _move(catalog: Catalog, jobs: Jobs, one: UnfinishedJob) -> None:
    jobs.cancel([one.workflow_id])
    if one.kind != INGEST:
        jobs.fork(one.workflow_id, one.kind)
        return
    document_id, revision = one.arguments
    with catalog.write() as session:
        taken = ingestion_queries.take_over(session, Job(str(document_id), int(revision)))
    if taken is not None:  # otherwise it is done, deleted, or already queued again
        jobs.enqueue(taken)
