"""Takes over what an index is owed: each document as the catalog has it, cut and embedded for this index.

Every write is by passage id, so a follower that is killed, or two at once, do no harm: what was not settled is done again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Gauge

from app.catalog import backlog, index_state, work
from app.catalog.backlog import Due
from app.catalog.engine import Catalog
from app.errors import Unavailable
from app.models.port import Embedder
from app.passages import BATCH_PASSAGES, Parse, Shape, passages, read
from app.publish import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from app.search.port import SearchWriter

FOLLOW_SECONDS: Final = 0.3  # between looks: a document of the other color is findable here about as fast as there
PAGE: Final = 32  # documents that share one publication

LEFT: Final = Gauge("teal_index_backlog", "Documents this index has still to take over from another one's worker")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """What one step did: documents taken over, put off because they are still in work, and failed."""

    done: int = 0
    deferred: int = 0
    failed: int = 0


class Follower:
    """Feeds one index. `writer` is that index's; `embedder` gives its model, or None while there is none."""

    def __init__(
        self, catalog: Catalog, writer: SearchWriter, index: str, parse: Parse, embedder: Callable[[], Embedder | None], shape: Shape
    ) -> None:  # fmt: skip
        self._catalog, self._writer, self._index = catalog, writer, index
        self._parse, self._embedder, self._shape = parse, embedder, shape

    def step(self, limit: int = PAGE) -> Taken:
        """Take over up to `limit` documents and make them visible together. Raises `Unavailable`; then nothing is settled."""
        with self._catalog.read() as session:
            dues = backlog.take(session, self._index, limit=limit, attempts=self._shape.attempts)
        if not dues:
            return Taken()
        settled, deferred, failed = list[Due](), list[Due](), list[tuple[Due, str]]()
        for due in dues:
            try:
                (settled if self._take_over(due) else deferred).append(due)
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - one document must not stop the others
                log.warning("index %s can not take over document %s: %s", self._index, due.document_id, error)
                failed.append((due, f"{type(error).__name__}: {error}"))
        if settled:
            self._writer.publish()
        with self._catalog.write() as session:
            if settled:
                index_state.bump(session)
            backlog.settle(session, self._index, settled)
            for due in deferred:
                backlog.defer(session, self._index, due)
            for due, reason in failed:
                backlog.defer(session, self._index, due, reason)
        return Taken(len(settled), len(deferred), len(failed))

    def run(self, stop: threading.Event) -> None:
        """Step until `stop` is set; a part that is away is waited for."""
        pause = FIRST_PAUSE_SECONDS
        while not stop.is_set():
            try:
                taken = self.step()
                with self._catalog.read() as session:
                    LEFT.set(backlog.left(session, self._index))
                pause = FIRST_PAUSE_SECONDS
                if taken.done + taken.failed == 0:
                    stop.wait(FOLLOW_SECONDS)
            except Unavailable as error:
                log.warning("taking over waits: %s", error.detail)
                stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def work_off(self, seconds: float) -> Taken:
        """Steps until nothing is owed that can be taken over now, or until `seconds` have passed; the sum of what they did."""
        deadline = time.monotonic() + seconds
        done = failed = 0
        while True:
            taken = self.step()
            done, failed = done + taken.done, failed + taken.failed
            if taken.done + taken.failed == 0 or time.monotonic() >= deadline:
                return Taken(done, taken.deferred, failed)

    def _take_over(self, due: Due) -> bool:
        """Make the index hold what the catalog says of the document; False while it is in work, for then it will be owed again."""
        with self._catalog.read() as session:
            task = work.indexed(session, due.document_id)
            busy = task is None and work.in_work(session, due.document_id)
        if busy:
            return False
        if task is None:
            self._writer.delete_document(due.document_id)
            return True
        title, texts = read(task, self._parse, self._shape)
        embedder = self._embedder()
        for first in range(0, len(texts), BATCH_PASSAGES):
            self._writer.put(passages(task, title, texts[first : first + BATCH_PASSAGES], first, embedder))
        self._writer.delete_document(due.document_id, keep_below=len(texts))
        return True
