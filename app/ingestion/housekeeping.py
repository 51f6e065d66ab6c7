"""The worker's housekeeping, every few seconds: it enqueues lost jobs again, purges deleted documents,
removes old records and measures the queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Final

from prometheus_client import Counter, Gauge

from app.catalog import documents, ingestion_queries, query_sample, versions, workers
from app.catalog.engine import Catalog
from app.catalog.ingestion_queries import Job
from app.errors import Unavailable
from app.indexing.group_commit import GroupCommit
from app.ingestion.job_queue import JobHolder, Jobs
from app.ingestion.liveness import Liveness
from app.settings import QuerySample

HOUSEKEEPING_SECONDS: Final = 3.0
UNTOUCHED_SECONDS: Final = 6.0  # an app enqueues a job within milliseconds; a document without a job after this time has lost it
WORKER_GONE_SECONDS: Final = 60.0  # twenty missed heartbeats; a restart takes a few seconds
_PAGE: Final = 500  # jobs looked at in each pass
_EMBED_PAGE: Final = 200  # documents queued for their vectors in each pass, and only while no new ones wait
_FORGET_SECONDS: Final = 600.0  # between removals of old records, which accumulate slowly
_IDEMPOTENCY_HOURS: Final = 24
_WORKER_DAYS: Final = 1
_FINISHED_HOURS: Final = 24  # how long DBOS keeps the record of a finished job
_FINISHED_PAGE: Final = 1_000

DOCUMENTS: Final = Gauge("teal_documents", "Documents by status", ("status",))
QUEUE: Final = Gauge("teal_ingest_queue_depth", "Documents waiting or in work")
OLDEST: Final = Gauge("teal_ingest_oldest_queued_seconds", "Age of the document that waits longest")
AT_ONE: Final = Gauge("teal_ingest_at_one_document_seconds", "How long the worker has been at the document it took up first")
LAST_TICK: Final = Gauge("teal_worker_last_tick_timestamp_seconds", "When the worker last finished a pass of housekeeping")
ROUND_AGE: Final = Gauge("teal_worker_round_age_seconds", "Time since the last pass of housekeeping, by a clock that nobody sets")
WAITING: Final = Gauge("teal_ingest_waiting", "1 while writing waits for a part that is away")
RESCUED: Final = Counter(
    "teal_ingest_rescued_total", "Jobs that were lost or whose worker was gone, and were enqueued again", ("how",)
)
log = logging.getLogger(__name__)


class Housekeeping:
    """Runs one pass every few seconds. `ready_to_embed`: whether documents that were indexed without vectors can be embedded now.
    `longest`: the document that the worker has been processing for longest, and since when. `query_sample`: what may be kept of
    the sample of queries."""

    def __init__(
        self,
        catalog: Catalog,
        jobs: Jobs,
        group_commit: GroupCommit,
        ready_to_embed: Callable[[], bool],
        executor_id: str,
        release_id: str,
        longest: Callable[[], tuple[str, datetime] | None] = lambda: None,
        *,
        query_sample: QuerySample = "hashes",
    ) -> None:
        self._catalog = catalog
        self._jobs = jobs
        self._group_commit = group_commit
        self._ready_to_embed = ready_to_embed
        self._me = (executor_id, release_id)
        self._longest = longest
        self._query_sample: QuerySample = query_sample
        self._trimmed_at = float("-inf")  # the first pass removes what a changed setting no longer allows
        self._after: tuple[datetime, str] | None = None
        self._purging: dict[str, Future[bool]] = {}
        self._forgot_at = time.monotonic()
        self._liveness = Liveness()

    def run(self) -> None:
        """Run one pass; work for a part that is away is tried again in the next one."""
        try:
            with self._catalog.write() as session:
                workers.write_heartbeat(session, *self._me, longest := self._longest())
            AT_ONE.set(0 if longest is None else max(0.0, (datetime.now(UTC) - longest[1]).total_seconds()))
            self._find_jobs()
            self._make_way()
            self._purge()
            if self._ready_to_embed():
                self._embed_later()
            self._measure()
            self._forget_old()
            self._trim_queries()
        except Unavailable as error:
            log.warning("housekeeping waits: %s", error.detail)

    def _find_jobs(self) -> None:
        with self._catalog.read() as session:
            found = ingestion_queries.queued_jobs(session, older_than_seconds=UNTOUCHED_SECONDS, limit=_PAGE, after=self._after)
            beats = workers.heartbeats(session)
        live = self._liveness.live_workers(beats, within_seconds=WORKER_GONE_SECONDS)
        self._after = (found[-1][1], found[-1][0].document_id) if len(found) == _PAGE else None
        held = self._jobs.held([job for job, _ in found]) if found else {}
        for job, _ in found:
            if job not in held:
                self._jobs.enqueue(job)
                RESCUED.labels("enqueued").inc()
            elif not is_live(held[job], live):
                with self._catalog.write() as session:
                    taken = ingestion_queries.take_over(session, job)
                if taken is not None:
                    self._jobs.enqueue(taken)
                    RESCUED.labels("taken_over").inc()

    def _make_way(self) -> None:
        with self._catalog.read() as session:
            found = versions.overdue(session, _PAGE)
        if found:
            with self._catalog.write() as session:
                versions.make_way(session, found)

    def _purge(self) -> None:
        self._purging = {document_id: outcome for document_id, outcome in self._purging.items() if not outcome.done()}
        with self._catalog.read() as session:
            found = ingestion_queries.to_purge(session, older_than_seconds=UNTOUCHED_SECONDS, limit=_PAGE)
        for document_id in found:
            if document_id not in self._purging:
                self._purging[document_id] = self._group_commit.remove(document_id, deleted=True)

    def _embed_later(self) -> None:
        with self._catalog.read() as session:
            busy = ingestion_queries.oldest_queued(session) is not None
        if busy:
            return
        with self._catalog.write() as session:
            queued = ingestion_queries.requeue_unembedded(session, _EMBED_PAGE)
        self._enqueue(queued)

    def _enqueue(self, queued: list[Job]) -> None:
        for job in queued:
            self._jobs.enqueue(job)

    def _measure(self) -> None:
        with self._catalog.read() as session:
            counts = documents.count_by_status(session)
            oldest = ingestion_queries.oldest_queued(session)
        for status, count in counts.items():
            DOCUMENTS.labels(status).set(count)
        QUEUE.set(counts["queued"] + counts["processing"])
        OLDEST.set(0 if oldest is None else max(0.0, (datetime.now(UTC) - oldest).total_seconds()))
        WAITING.set(self._group_commit.waiting_for is not None)
        LAST_TICK.set(time.time())
        at = time.monotonic()
        ROUND_AGE.set_function(lambda: time.monotonic() - at)

    def _forget_old(self) -> None:
        if time.monotonic() - self._forgot_at < _FORGET_SECONDS:
            return
        self._forgot_at = time.monotonic()
        with self._catalog.write() as session:
            workers.forget_old(session, idempotency_hours=_IDEMPOTENCY_HOURS, worker_days=_WORKER_DAYS)
        before = (datetime.now(UTC) - timedelta(hours=_FINISHED_HOURS)).isoformat()
        while self._jobs.forget_finished(before, _FINISHED_PAGE) == _FINISHED_PAGE:
            pass

    def _trim_queries(self) -> None:
        if time.monotonic() - self._trimmed_at < _FORGET_SECONDS:
            return
        self._trimmed_at = time.monotonic()
        with self._catalog.write() as session:
            query_sample.trim(session, self._query_sample)


def is_live(held: JobHolder, live: set[tuple[str, str]]) -> bool:
    """Whether a live worker will do the job: its executor if one has taken it, otherwise any worker of its release."""
    if held.finished:
        return False
    if held.executor_id is not None and (held.executor_id, held.release_id) in live:
        return True
    return held.executor_id is None and any(release == held.release_id for _, release in live)
