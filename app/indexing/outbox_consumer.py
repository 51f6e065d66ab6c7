"""The consumer of an index's outbox: indexes each document in it from the catalog, cut and embedded for this index.

Every write is idempotent by passage id, so a killed consumer, or two at once, do no harm:
entries that were not removed are done again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Gauge

from app.catalog import index_outbox, index_state, ingestion_queries, versions
from app.catalog.engine import Catalog
from app.catalog.index_outbox import OutboxEntry
from app.errors import Unavailable
from app.indexing.group_commit import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from app.indexing.passages import BATCH_PASSAGES, DocumentReader, IngestSettings, make_passages, read_task
from app.models.port import Embedder
from app.search.port import SearchWriter

# The time between two looks into the outbox, so that a document that the other color
# ingested is found here about as soon as there.
POLL_SECONDS: Final = 0.3
PAGE: Final = 32  # documents that share one refresh of the index

LEFT: Final = Gauge("teal_index_outbox_documents", "Documents that wait in the index outbox until this index takes them over")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TakeoverResult:
    """The result of one call: how many documents were taken over, deferred because they are still in work, and failed."""

    done: int = 0
    deferred: int = 0
    failed: int = 0


class OutboxConsumer:
    """Feeds one index. `writer`: that index's writer; `embedder`: returns its model, or None while there is none."""

    def __init__(
        self, catalog: Catalog, writer: SearchWriter, index: str, read: DocumentReader, embedder: Callable[[], Embedder | None], shape: IngestSettings
    ) -> None:  # fmt: skip
        self._catalog, self._writer, self._index = catalog, writer, index
        self._read, self._embedder, self._shape = read, embedder, shape

    def consume(self, limit: int = PAGE) -> TakeoverResult:
        """Take over up to `limit` documents and make them visible together. Raises
        `Unavailable`; then all entries stay in the outbox."""
        with self._catalog.read() as session:
            dues = index_outbox.next_entries(session, self._index, limit=limit, attempts=self._shape.attempts)
        if not dues:
            return TakeoverResult()
        settled, deferred, failed = list[OutboxEntry](), list[OutboxEntry](), list[tuple[OutboxEntry, str]]()
        for due in dues:
            try:
                (settled if self._take_over(due) else deferred).append(due)
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - one document must not stop the others
                log.warning("index %s can not take over document %s: %s", self._index, due.document_id, error)
                failed.append((due, f"{type(error).__name__}: {error}"))
        if settled:
            self._writer.refresh()
        with self._catalog.write() as session:
            if settled:
                index_state.raise_generation(session)
            index_outbox.remove_entries(session, self._index, settled)
            for due in deferred:
                index_outbox.defer(session, self._index, due)
            for due, reason in failed:
                index_outbox.defer(session, self._index, due, reason)
        with self._catalog.read() as session:
            waited_for = versions.waited_for(session, [due.document_id for due in settled])
        if waited_for:
            # In its own transaction, because it must lock the documents' rows before the generation's row.
            with self._catalog.write() as session:
                versions.make_way(session, waited_for)
        return TakeoverResult(len(settled), len(deferred), len(failed))

    def run(self, stop: threading.Event) -> None:
        """Consume until `stop` is set; waits for parts that do not answer."""
        pause = FIRST_PAUSE_SECONDS
        while not stop.is_set():
            try:
                taken = self.consume()
                with self._catalog.read() as session:
                    LEFT.set(index_outbox.entries_left(session, self._index))
                pause = FIRST_PAUSE_SECONDS
                if taken.done + taken.failed == 0:
                    stop.wait(POLL_SECONDS)
            except Unavailable as error:
                log.warning("the outbox consumer waits: %s", error.detail)
                stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def drain(self, seconds: float) -> TakeoverResult:
        """Consume until no entry can be taken over now, or until `seconds` have passed; returns the sum of the results."""
        deadline = time.monotonic() + seconds
        done = failed = 0
        while True:
            taken = self.consume()
            done, failed = done + taken.done, failed + taken.failed
            if taken.done + taken.failed == 0 or time.monotonic() >= deadline:
                return TakeoverResult(done, taken.deferred, failed)

    def _take_over(self, due: OutboxEntry) -> bool:
        """Bring the index in line with the catalog for one document. False while the document
        is in work: then a new entry will come."""
        with self._catalog.read() as session:
            task = ingestion_queries.indexed_task(session, due.document_id)
            busy = task is None and ingestion_queries.in_work(session, due.document_id)
        if busy:
            return False
        if task is None:
            self._writer.delete_document(due.document_id)
            return True
        title, document = read_task(task, self._read, self._shape)
        embedder = self._embedder()
        for first in range(0, len(document.chunks), BATCH_PASSAGES):
            self._writer.put(make_passages(task, title, document, first, embedder))
        self._writer.delete_document(due.document_id, keep_below=len(document.chunks))
        return True
