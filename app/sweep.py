"""The worker's housekeeping: finds what no job will do by itself, and says how the queue stands."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Final

from prometheus_client import Counter, Gauge

from app.catalog import documents, work, workers
from app.catalog.engine import Catalog
from app.catalog.work import Job
from app.errors import Unavailable
from app.ingest import Held, Jobs
from app.publish import Publisher

SWEEP_SECONDS: Final = 3.0
UNTOUCHED_SECONDS: Final = 6.0  # an app enqueues within milliseconds of accepting: after this it will not
WORKER_GONE_SECONDS: Final = 60.0  # twenty missed sweeps; a restart takes a few seconds
_PAGE: Final = 500  # jobs looked at per sweep
_EMBED_PAGE: Final = 200  # documents embedded later, per sweep: new documents stay ahead of them
_HOUSEKEEPING_SECONDS: Final = 600.0
_IDEMPOTENCY_HOURS: Final = 24
_WORKER_DAYS: Final = 1
_FINISHED_HOURS: Final = 24  # how long DBOS keeps the record of a finished job
_FINISHED_PAGE: Final = 1_000

DOCUMENTS: Final = Gauge("teal_documents", "Documents by status", ("status",))
QUEUE: Final = Gauge("teal_ingest_queue_depth", "Documents waiting or in work")
OLDEST: Final = Gauge("teal_ingest_oldest_queued_seconds", "Age of the document that waits longest")
LAST_TICK: Final = Gauge("teal_worker_last_tick_timestamp_seconds", "When the worker last looked around")
WAITING: Final = Gauge("teal_ingest_waiting", "1 while writing waits for a part that is away")
RESCUED: Final = Counter("teal_ingest_rescued_total", "Jobs found without a holder", ("how",))
log = logging.getLogger(__name__)


class Sweep:
    """One pass every few seconds. `ready_to_embed`: whether documents indexed without vectors can get theirs now."""

    def __init__(
        self,
        catalog: Catalog,
        jobs: Jobs,
        publisher: Publisher,
        ready_to_embed: Callable[[], bool],
        executor_id: str,
        release_id: str,
    ) -> None:
        self._catalog = catalog
        self._jobs = jobs
        self._publisher = publisher
        self._ready_to_embed = ready_to_embed
        self._me = (executor_id, release_id)
        self._after: tuple[datetime, str] | None = None
        self._purging: dict[str, Future[bool]] = {}
        self._housekeeping_at = time.monotonic()

    def run(self) -> None:
        """One pass; what is away now is tried again in the next."""
        try:
            with self._catalog.write() as session:
                workers.beat(session, *self._me)
            self._find_jobs()
            self._purge()
            if self._ready_to_embed():
                self._embed_later()
            self._measure()
            self._housekeep()
        except Unavailable as error:
            log.warning("sweep waits: %s", error.detail)

    def _find_jobs(self) -> None:
        with self._catalog.read() as session:
            found = work.queued_jobs(session, older_than_seconds=UNTOUCHED_SECONDS, limit=_PAGE, after=self._after)
            live = workers.live_workers(session, WORKER_GONE_SECONDS)
        self._after = (found[-1][1], found[-1][0].document_id) if len(found) == _PAGE else None
        held = self._jobs.held([job for job, _ in found]) if found else {}
        for job, _ in found:
            if job not in held:
                self._jobs.enqueue(job)
                RESCUED.labels("enqueued").inc()
            elif not is_live(held[job], live):
                with self._catalog.write() as session:
                    taken = work.take_over(session, job)
                if taken is not None:
                    self._jobs.enqueue(taken)
                    RESCUED.labels("taken_over").inc()

    def _purge(self) -> None:
        self._purging = {document_id: outcome for document_id, outcome in self._purging.items() if not outcome.done()}
        with self._catalog.read() as session:
            found = work.to_purge(session, older_than_seconds=UNTOUCHED_SECONDS, limit=_PAGE)
        for document_id in found:
            if document_id not in self._purging:
                self._purging[document_id] = self._publisher.remove(document_id, deleted=True)

    def _embed_later(self) -> None:
        with self._catalog.read() as session:
            busy = work.oldest_queued(session) is not None
        if busy:
            return
        with self._catalog.write() as session:
            queued = work.requeue_unembedded(session, _EMBED_PAGE)
        self._enqueue(queued)

    def _enqueue(self, queued: list[Job]) -> None:
        for job in queued:
            self._jobs.enqueue(job)

    def _measure(self) -> None:
        with self._catalog.read() as session:
            counts = documents.counts(session)
            oldest = work.oldest_queued(session)
        for status, count in counts.items():
            DOCUMENTS.labels(status).set(count)
        QUEUE.set(counts["queued"] + counts["processing"])
        OLDEST.set(0 if oldest is None else max(0.0, (datetime.now(UTC) - oldest).total_seconds()))
        WAITING.set(self._publisher.waiting_for is not None)
        LAST_TICK.set(time.time())

    def _housekeep(self) -> None:
        if time.monotonic() - self._housekeeping_at < _HOUSEKEEPING_SECONDS:
            return
        self._housekeeping_at = time.monotonic()
        with self._catalog.write() as session:
            workers.forget_old(session, idempotency_hours=_IDEMPOTENCY_HOURS, worker_days=_WORKER_DAYS)
        before = (datetime.now(UTC) - timedelta(hours=_FINISHED_HOURS)).isoformat()
        while self._jobs.forget_finished(before, _FINISHED_PAGE) == _FINISHED_PAGE:
            pass


def is_live(held: Held, live: set[tuple[str, str]]) -> bool:
    """Whether somebody will do the job: its executor when one took it, else any worker of its release."""
    if held.finished:
        return False
    if held.executor_id is not None and (held.executor_id, held.release_id) in live:
        return True
    return held.executor_id is None and any(release == held.release_id for _, release in live)
