"""Processes one document in the worker: parse it, cut it, embed it, and give its passages to
the group commit, without ever losing it.

The catalog contains the checkpoint (`passages_done`), every write is idempotent by passage id, and vectors are stored only in the
index. So the work on a document can be interrupted anywhere and started again any number of times.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Final, Literal, NoReturn

from prometheus_client import Histogram

from app.catalog import ingestion_queries
from app.catalog.engine import Catalog
from app.catalog.ingestion_queries import IngestionTask, Job, Progress
from app.errors import DocumentRejected, Unavailable
from app.indexing.group_commit import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, GroupCommit, WorkerStopping
from app.indexing.passages import BATCH_PASSAGES, DocumentReader, IngestSettings, make_passages, read_task
from app.ingestion.busy import BusyDocuments
from app.ingestion.exclusive_semaphore import ExclusiveSemaphore, SemaphoreClosed
from app.models.port import Embedder
from app.text.apart import NoLongerWanted

_BATCHES_AHEAD: Final = 2  # the next batch is embedded while the last one is being written
RETRY_SECONDS: Final = 1.0  # between tries of a document that failed for an unknown reason

FRESHNESS: Final = Histogram(
    "teal_ingest_freshness_seconds",
    "From a new document's acceptance until it is findable",
    # The objective is 300 s (infra/observability/slos.py).
    buckets=(0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0),
)
Outcome = Literal["indexed", "failed", "dropped"]
log = logging.getLogger(__name__)


class Ingestion:
    """Ingests documents from the catalog into the index, the one with the lowest `place` first.
    Thread-safe: `run` is called from many threads."""

    def __init__(
        self, catalog: Catalog, group_commit: GroupCommit, read: DocumentReader, embedder: Callable[[], Embedder | None],
        shape: IngestSettings, stop: threading.Event, place: Callable[[Job], int] = lambda _: 0,
    ) -> None:  # fmt: skip
        self._catalog = catalog
        self._group_commit = group_commit
        self._read = read
        self._embedder = embedder
        self._shape = shape
        self._stop = stop
        self._place = place
        self._semaphore = ExclusiveSemaphore(shape.concurrency)
        self._busy = BusyDocuments()

    def run(self, job: Job) -> Outcome:
        """Ingest a document; parts that do not answer are waited for without limit. Once the worker stops, this blocks for
        ever, so that DBOS recovers the job later."""
        pause = FIRST_PAUSE_SECONDS
        last: Exception | None = None
        while True:
            try:
                return self._try(job, last)
            except (WorkerStopping, SemaphoreClosed):
                self.park()
            except Unavailable as error:
                log.warning("document %s waits: %s", job.document_id, error.detail)
                self._wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            except Exception as error:
                log.exception("document %s failed in one try", job.document_id)
                last = error
                self._wait(RETRY_SECONDS)

    def remove(self, document_id: str) -> Outcome:
        """Remove the passages of a deleted document."""
        self._group_commit.remove(document_id, deleted=True).result()
        return "dropped"

    def longest(self) -> tuple[str, datetime] | None:
        """(document id, start) of the document that this worker has been processing for longest; None while there is none."""
        return self._busy.longest()

    def finish(self, seconds: float) -> bool:
        """After `stop` is set, wait until no document is in the part that may kill the worker; returns False after `seconds`."""
        return self._semaphore.close(seconds)

    def park(self) -> NoReturn:
        """Block for ever while the worker stops: DBOS would record a workflow that returns or raises as finished, but
        it recovers one that was interrupted."""
        while True:
            threading.Event().wait()

    def _try(self, job: Job, last: Exception | None) -> Outcome:
        with self._catalog.read() as session:
            task = ingestion_queries.load_task(session, job)
        if task is None:
            return self._leave(job)
        if task.attempts >= self._shape.attempts:
            if last is None:
                return self._fail(job, "killed-worker", f"Its worker died {task.attempts} times while reading it.")
            return self._fail(job, "internal", f"{type(last).__name__}: {last} (tried {task.attempts} times)")
        written: Future[bool] | None = None
        counted = False
        try:
            turn = self._place(job)
            # After a failed attempt alone, so that it takes no other document down if it kills its worker again.
            with self._semaphore.enter(alone=task.attempts > 0, turn=turn):
                counted = self._group_commit.begin(job)
                if counted:
                    with self._busy.at(job.document_id):
                        written = self._write(task)
        except DocumentRejected as rejection:
            return self._fail(job, rejection.code, rejection.detail)
        except NoLongerWanted:
            self._group_commit.survived(job)
            return self._leave(job)
        except (Unavailable, WorkerStopping):
            if counted:
                self._group_commit.survived(job)
            raise
        if written is None:
            return self._leave(job)
        self._group_commit.survived(job)  # no attempt counts while the write waits: an outage may outlast any number of workers
        try:
            if not written.result():
                return self._leave(job)
            if job.revision == 1:  # a later one is a retry or a rebuild, and its document was accepted long ago
                FRESHNESS.observe((datetime.now(UTC) - task.accepted_at).total_seconds())
            return "indexed"
        except DocumentRejected as rejection:
            return self._fail(job, rejection.code, rejection.detail)
        except (Unavailable, WorkerStopping):
            raise
        except Exception:
            self._group_commit.begin(job)  # this attempt failed after all: it counts again
            raise

    def _write(self, task: IngestionTask) -> Future[bool]:
        """Parse, cut and embed a document, and give it to the group commit in batches; returns the outcome of the last batch."""
        title, document = read_task(task, self._read, self._shape, lambda: self._wanted(task.job))
        texts = document.chunks
        embedder = self._embedder()
        resumed = task.passages_done if self._resumable(task, len(texts), embedder is not None) else 0
        rewritten = task.job.revision > 1 or task.attempts > 0
        ahead: list[Future[bool]] = []
        for start in range(resumed, len(texts), BATCH_PASSAGES):
            if self._stop.is_set():
                raise WorkerStopping
            written = make_passages(task, title, document, start, embedder)
            done = start + len(written)
            final = done == len(texts)
            progress = Progress(
                task.job,
                done,
                len(texts),
                embedder is not None,
                final,
                None if task.title else title,
                document.warnings,
                None if document.metadata == task.metadata else document.metadata,
            )
            below = len(texts) if final and rewritten else None
            ahead.append(self._group_commit.write(progress, written, below, after=ahead[-1] if ahead else None))
            if not final and len(ahead) >= _BATCHES_AHEAD and not ahead[-_BATCHES_AHEAD].result():
                return ahead[-1]
        if not ahead:  # all batches were written before the last worker died; only the final progress is missing
            ahead.append(
                self._group_commit.write(Progress(task.job, len(texts), len(texts), task.embedded, True), (), len(texts))
            )
        return ahead[-1]

    def _resumable(self, task: IngestionTask, total: int, embedding: bool) -> bool:
        return task.passages_total == total and task.embedded == embedding and task.passages_done <= total

    def _wanted(self, job: Job) -> bool:
        """Whether reading should continue, because the document still exists at this revision. Raises
        WorkerStopping while the worker stops."""
        if self._stop.is_set():
            raise WorkerStopping
        try:
            with self._catalog.read() as session:
                return ingestion_queries.is_current(session, job)
        except Unavailable:
            return True  # reading does not need the catalog

    def _leave(self, job: Job) -> Outcome:
        """End a job that is no longer wanted. If the document was deleted, the passages
        that were written meanwhile are removed."""
        with self._catalog.read() as session:
            deleted = ingestion_queries.is_deleted(session, job.document_id)
        return self.remove(job.document_id) if deleted else "dropped"

    def _fail(self, job: Job, code: str, detail: str) -> Outcome:
        """Mark a document as failed. Its passages are removed first, so that a failed document is never found in part."""
        self._group_commit.remove(job.document_id, deleted=False).result()
        with self._catalog.write() as session:
            failed = ingestion_queries.mark_failed(session, job, code, detail)
        if not failed:
            return self._leave(job)
        log.warning("document %s failed: %s: %s", job.document_id, code, detail)
        return "failed"

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            self.park()
