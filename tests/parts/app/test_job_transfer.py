"""Jobs of a release that leaves: all of them belong to the one that stays, and none is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.catalog import documents, ingestion_queries
from app.catalog.accept import Submission, accept
from app.catalog.engine import Catalog, migrate
from app.catalog.ingestion_queries import Job
from app.ingestion.job_queue import Jobs, migrate_jobs
from app.ingestion.job_transfer import transfer_jobs, unfinished_jobs
from app.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(state_dir=tmp_path, release_id="old")
    migrate(made.sqlalchemy_url())
    migrate_jobs(made)
    return made


def _queue(settings: Settings, count: int) -> list[Job]:
    catalog, jobs = Catalog(settings.sqlalchemy_url()), Jobs(settings)
    found = []
    for number in range(count):
        sent = Submission(f"t{number}", b"text", "text/plain", None, "default", None, {}, content_sha256=f"{number:064x}")
        with catalog.write() as session:
            made = accept(session, sent, key_id="k", idempotency_key=None)
        found.append(Job(made.id, made.revision))
        jobs.enqueue(found[-1])
    jobs.close()
    catalog.close()
    return found


def test_every_job_moves_and_none_is_left(settings: Settings) -> None:
    _queue(settings, 3)
    removing = Jobs(settings)
    removing.remove("gone")
    removing.close()
    assert unfinished_jobs(settings, "old") == 4
    assert transfer_jobs(settings, "old", "new") == 4
    assert (unfinished_jobs(settings, "old"), unfinished_jobs(settings, "new")) == (0, 4)
    assert transfer_jobs(settings, "old", "new") == 0


def test_a_document_that_is_done_meanwhile_is_not_ingested_again(settings: Settings) -> None:
    (job,) = _queue(settings, 1)
    catalog = Catalog(settings.sqlalchemy_url())
    with catalog.write() as session:
        ingestion_queries.record_progress(session, [ingestion_queries.Progress(job, 1, 1, embedded=True, final=True)])
    assert transfer_jobs(settings, "old", "new") == 1
    assert (unfinished_jobs(settings, "old"), unfinished_jobs(settings, "new")) == (0, 0)
    with catalog.read() as session:
        assert documents.count_by_status(session)["indexed"] == 1
    catalog.close()
