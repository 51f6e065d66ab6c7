"""Group commit: one thread writes the passages of all documents, makes them visible once per tick, and then updates the catalog.

A document becomes `indexed` in the catalog only after the search engine has made its passages visible. In each tick thousands of
small documents share one refresh, one catalog transaction and one index generation.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.trace import SpanContext
from prometheus_client import Counter

from app.catalog import index_outbox, index_state, ingestion_queries, versions
from app.catalog.engine import Catalog
from app.catalog.ingestion_queries import Job, Progress
from app.errors import Unavailable
from app.observability.tracing import current_span_context, span
from app.search.port import Passage, SearchWriter

TICK_SECONDS: Final = 0.2  # too short for a person to notice; a refresh of a few ms takes less than 5 % of the time
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0  # after an outage work continues within half a minute
_GROUP_PASSAGES: Final = 2_000  # a group of 384 floats each is 3 MB: one bulk request

PASSAGES: Final = Counter("teal_ingest_passages_total", "Passages written to the search engine")
log = logging.getLogger(__name__)


class WorkerStopping(Exception):
    """The worker stops: the work is left as it is and will be recovered."""


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    progress: Progress
    passages: Sequence[Passage]
    keep_below: int | None
    after: Future[bool] | None
    origin: SpanContext = field(default_factory=current_span_context)  # the document's span; one call writes many
    outcome: Future[bool] = field(default_factory=Future)


@dataclass(frozen=True, slots=True, eq=False)
class _Removal:
    document_id: str
    deleted: bool
    outcome: Future[bool] = field(default_factory=Future)


class GroupCommit:
    """Owns the search writer and the thread that uses it. Every outcome is a future: True when the write is done, False when it
    is done but the document was deleted or queued again meanwhile."""

    def __init__(self, writer: SearchWriter, catalog: Catalog, stop: threading.Event, index: str) -> None:
        self._writer = writer
        self._index = index
        self._catalog = catalog
        self._stop = stop
        self._arrived = threading.Event()
        self._queue: deque[_Write | _Removal] = deque()
        self._survivors: deque[Job] = deque()
        self._idle = threading.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self.waiting_for: str | None = None

    def start(self) -> None:
        self._thread.start()

    def write(
        self, progress: Progress, passages: Sequence[Passage], keep_below: int | None = None, *, after: Future[bool] | None = None
    ) -> Future[bool]:
        """Write passages, then progress. `keep_below`: also remove the document's passages from that ordinal
        on. `after`: the outcome of an earlier write, which must come first; if that one failed, this one
        fails too, so that progress has no gaps."""
        return self._put(_Write(progress, passages, keep_below, after))

    def remove(self, document_id: str, *, deleted: bool) -> Future[bool]:
        """Remove all passages of a document; `deleted` also drops its body and marks it purged in the catalog."""
        return self._put(_Removal(document_id, deleted))

    def survived(self, job: Job) -> None:
        """Report that the part of a job that may kill the worker is over (or never began). The
        next transaction uncounts its attempt."""
        self._survivors.append(job)
        self._arrived.set()

    def begin(self, job: Job) -> bool:
        """Count an attempt of `job`, and uncount those of the surviving jobs, in one
        transaction; False: the job is no longer wanted."""
        survivors = self._drain_survivors()
        try:
            with self._catalog.write() as session:
                ingestion_queries.return_attempts(session, survivors)
                return ingestion_queries.count_attempt(session, job)
        except BaseException:
            self._survivors.extend(survivors)
            raise

    def drain(self, seconds: float) -> bool:
        """Wait until all submitted work is committed; returns False if that takes longer than `seconds`."""
        return self._idle.wait(seconds)

    def _put(self, item: _Write | _Removal) -> Future[bool]:
        self._idle.clear()
        self._queue.append(item)
        self._arrived.set()
        return item.outcome

    def _run(self) -> None:
        while True:
            self._arrived.wait()
            time.sleep(TICK_SECONDS)
            self._arrived.clear()
            group = self._next_group()
            try:
                self._commit(deque(group))
                self.settle()
            except WorkerStopping:
                return
            except Exception as error:
                log.exception("a group of %d writes failed", len(group))
                for item in group:
                    if not item.outcome.done():
                        item.outcome.set_exception(error)
            if self._queue:
                self._arrived.set()
            else:
                self._idle.set()
                if self._queue:  # arrived after the check and before `set()`
                    self._idle.clear()

    def _next_group(self) -> list[_Write | _Removal]:
        group: list[_Write | _Removal] = []
        size = 0
        while self._queue and size < _GROUP_PASSAGES:
            item = self._queue.popleft()
            size += len(item.passages) if isinstance(item, _Write) else 1
            group.append(item)
        return group

    def _commit(self, waiting: deque[_Write | _Removal]) -> None:
        """Write the whole group at once. After a failure its items are written one by one; an item whose part is away goes to the
        end, so that the others do not wait for it."""
        together = True
        pause = FIRST_PAUSE_SECONDS
        while waiting:
            written: list[_Write | _Removal] = []
            problem: Unavailable | None = None
            groups = [list(waiting)] if together else [[item] for item in waiting if _has_turn(item)]
            for group in groups:
                try:
                    self._apply(group)
                except Unavailable as error:
                    problem = error
                    waiting.remove(group[0])
                    waiting.append(group[0])
                    break
                except Exception as error:  # noqa: BLE001 - handed to the waiting document
                    if len(group) > 1:
                        break
                    group[0].outcome.set_exception(error)
                    waiting.remove(group[0])
                else:
                    written += group
                    for item in group:
                        waiting.remove(item)
            together = False
            if written:
                self._finish(written)
                pause = FIRST_PAUSE_SECONDS
            if problem is not None:
                pause = self._pause(problem, pause)

    def _apply(self, group: Sequence[_Write | _Removal]) -> None:
        writes = [item for item in group if isinstance(item, _Write)]
        for write in writes:
            if write.after is not None and write.after.done():
                write.after.result()  # raises its error, because passages after missing ones would count as progress
        passages = [passage for item in writes for passage in item.passages]
        if passages:
            with span("group commit", {"teal.passages": len(passages)}, links=[write.origin for write in writes]):
                self._writer.put(passages)
        for write in writes:
            if write.keep_below is not None:
                self._writer.delete_document(write.progress.job.document_id, keep_below=write.keep_below)
        for removal in (item for item in group if isinstance(item, _Removal)):
            self._writer.delete_document(removal.document_id)
        PASSAGES.inc(len(passages))

    def _finish(self, group: Sequence[_Write | _Removal]) -> None:
        writes = [item for item in group if isinstance(item, _Write)]
        removals = [item for item in group if isinstance(item, _Removal)]
        visible = bool(removals) or any(item.progress.final for item in writes)
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                if visible:
                    self._writer.refresh()
                with self._catalog.write() as session:
                    wanted = ingestion_queries.record_progress(session, [item.progress for item in writes])
                    gone = [item.document_id for item in removals if item.deleted]
                    if gone:
                        ingestion_queries.purged(session, gone)
                    if visible:
                        index_state.raise_generation(session)
                        finished = [one.progress.job for one in writes if one.progress.final and one.progress.job in wanted]
                        changed = [job.document_id for job in finished]
                        index_outbox.owe_others(session, self._index, [*changed, *(item.document_id for item in removals)])
                break
            except Unavailable as error:
                pause = self._pause(error, pause)
        if visible:
            self._make_way([item.progress.job.document_id for item in writes if item.progress.final])
        self.waiting_for = None
        for item in writes:
            item.outcome.set_result(item.progress.job in wanted)
        for removal in removals:
            removal.outcome.set_result(True)

    def _make_way(self, document_ids: Sequence[str]) -> None:
        """Delete the versions that these documents replace. This needs its own transaction: documents' rows must
        be locked before the generation's row, which the transaction of `_finish` has locked by then. If the
        catalog is away, housekeeping does it later."""
        try:
            with self._catalog.read() as session:
                waited_for = versions.waited_for(session, document_ids)
            if waited_for:
                with self._catalog.write() as session:
                    versions.make_way(session, waited_for)
        except Unavailable as error:
            log.warning("older versions go later: %s", error.detail)

    def settle(self) -> None:
        """Uncount the attempts of the surviving jobs now; if the catalog is away, they are kept for the next time."""
        survivors = self._drain_survivors()
        if not survivors:
            return
        try:
            with self._catalog.write() as session:
                ingestion_queries.return_attempts(session, survivors)
        except Unavailable:
            self._survivors.extend(survivors)

    def _drain_survivors(self) -> list[Job]:
        drained = []
        while self._survivors:
            try:
                drained.append(self._survivors.popleft())
            except IndexError:
                break
        return drained

    def _pause(self, error: Unavailable, seconds: float) -> float:
        """Wait before the next try; returns the next pause in seconds. Only the stopping of the
        worker ends the tries (WorkerStopping)."""
        self.settle()
        if self.waiting_for != error.code:
            log.warning("writing waits: %s", error.detail)
        self.waiting_for = error.code
        if self._stop.wait(seconds):
            raise WorkerStopping
        return min(seconds * 2, LONGEST_PAUSE_SECONDS)


def _has_turn(item: _Write | _Removal) -> bool:
    return isinstance(item, _Removal) or item.after is None or item.after.done()
