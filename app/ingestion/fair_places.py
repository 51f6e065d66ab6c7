"""Fair queueing: the documents of different keys take turns, so that no document waits for thousands of another key.

This is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996, doi 10.1145/248156.248171) with one document as the unit. A
document's place comes after the last waiting document of its key; if none waits, it comes after the lowest place in use. Workers
start with the lowest place, and among equal places with the oldest document.
"""

from __future__ import annotations

import threading
from typing import Final

from sqlalchemy import Engine, text

from contract.jobs import STATUS_TABLE, WAITING

_MOST_KEYS: Final = 10_000  # remembered at once, about 2 MB; a key that is forgotten begins again at the front

# Both queries use DBOS's index on (queue, status, priority) of unfinished jobs; the condition
# is repeated so that SQLite uses it too.
_LOWEST: Final = (
    "(SELECT priority FROM {table} WHERE queue_name = :queue AND status = '{status}' AND status IN ('ENQUEUED', 'PENDING')"
    " AND application_version = :release ORDER BY priority LIMIT 1)"
)


class FairPlaces:
    """Gives each new job of a queue its place, 1 or higher. Thread-safe.

    Each process counts for itself: a key that sends to two processes gets two turns where others get one.
    """

    def __init__(self, engine: Engine, queue: str, release_id: str) -> None:
        self._engine = engine
        self._names = {"queue": queue, "release": release_id}
        self._last: dict[str, tuple[str, int]] = {}  # key -> its newest job and that job's place
        self._lock = threading.Lock()
        table = status_table(engine)
        lowest = ", ".join(_LOWEST.format(table=table, status=status) for status in WAITING)
        self._look = text(f"SELECT (SELECT status FROM {table} WHERE workflow_uuid = :last), {lowest}")  # noqa: S608 - constants
        self._read = text(f"SELECT priority FROM {table} WHERE workflow_uuid = :job")  # noqa: S608 - constants

    def take(self, key: str, job: str) -> int:
        """Assign a place to `job`, which `key` sent. Raises SQLAlchemy's errors when the database does not answer."""
        with self._lock:
            seen = self._last.get(key)
        with self._engine.connect() as connection:
            status, *lowest = connection.execute(self._look, {**self._names, "last": seen[0] if seen else ""}).one()
        with self._lock:
            newest = self._last.pop(key, None)
            waits = newest is not None and (newest != seen or status in WAITING)
            before = newest[1] if waits and newest is not None else min((one for one in lowest if one is not None), default=0)
            self._last[key] = (job, before + 1)
            if len(self._last) > _MOST_KEYS:
                del self._last[next(iter(self._last))]
        return before + 1

    def of(self, job: str) -> int:
        """The place of a job; 0 for a job that was enqueued without a place, or does not exist."""
        with self._engine.connect() as connection:
            return connection.execute(self._read, {"job": job}).scalar() or 0


def status_table(engine: Engine) -> str:
    """DBOS's table of jobs: in a schema of its own on PostgreSQL, without one in a SQLite file."""
    return STATUS_TABLE.rpartition(".")[2] if engine.dialect.name == "sqlite" else STATUS_TABLE
