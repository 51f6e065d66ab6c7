"""Which documents a worker is processing now, and since when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime


class BusyDocuments:
    """Thread-safe, because a worker processes many documents at once."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}
        self._lock = threading.Lock()

    @contextmanager
    def at(self, document_id: str) -> Iterator[None]:
        """A context in which the document counts as being processed."""
        with self._lock:
            self._since[document_id] = datetime.now(UTC)
        try:
            yield
        finally:
            with self._lock:
                self._since.pop(document_id, None)

    def longest(self) -> tuple[str, datetime] | None:
        """(document id, start) of the document that has been processed for longest; None while there is none."""
        with self._lock:
            return min(self._since.items(), key=lambda pair: pair[1], default=None)
