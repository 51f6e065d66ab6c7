"""The catalog's queries with which an app process filters search results: a deleted document may still be in the index."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from app.catalog.tables import DocumentRow, UtcDateTime, now

# A worker that was processing a document when it was deleted may still write a group of its passages after the index was cleaned,
# and may remove them late because it was killed or had to wait. Another worker takes over after a minute, so this time is ample.
LATE_WRITE_SECONDS: Final = 900.0
MOST_REMEMBERED: Final = 1_000  # ids that a process reads at each look; if there are more, each search asks about its own results

# Written as text, because every process runs it four times a second and SQLAlchemy expressions take twice the time.
_STATE: Final = text(
    "SELECT (SELECT generation FROM index_state WHERE id = 1), EXISTS (SELECT 1 FROM index_backlog WHERE index_name = :index)"
)
_GONE: Final = text(
    "SELECT id FROM documents WHERE deleted_at IS NOT NULL AND purged_at IS NULL"
    " UNION ALL SELECT id FROM documents WHERE purged_at > :lately LIMIT :most"
).bindparams(bindparam("lately", type_=UtcDateTime()))


@dataclass(frozen=True, slots=True)
class Visibility:
    """What may be shown of an index. `generation`: the index generation. `deleted`: deleted documents of which it may still
    contain passages. `complete`: there are no other such documents."""

    generation: int
    deleted: frozenset[str]
    complete: bool


def read_visibility(session: Session, index: str) -> Visibility:
    """The generation, and the deleted documents of which this index may still contain passages: those that are not
    purged, or were purged less than LATE_WRITE_SECONDS ago. The list is incomplete while the index has outbox
    entries, or when it would be too long."""
    generation, owed = session.execute(_STATE, {"index": index}).one()
    lately = now() - timedelta(seconds=LATE_WRITE_SECONDS)
    gone = session.scalars(_GONE, {"lately": lately, "most": MOST_REMEMBERED + 1}).all()
    return Visibility(generation or 0, frozenset(gone), not owed and len(gone) <= MOST_REMEMBERED)


def deleted_among(session: Session, document_ids: Collection[str]) -> set[str]:
    """The ones of these documents that are deleted."""
    query = select(DocumentRow.id).where(DocumentRow.id.in_(document_ids), DocumentRow.deleted_at.is_not(None))
    return set(session.scalars(query)) if document_ids else set()
