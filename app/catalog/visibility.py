"""What an app process asks of the catalog before it shows what a search found: a deleted document may still be in the index."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from app.catalog.tables import DocumentRow, UtcDateTime, now

# A worker that was at a document when it was deleted may write a last group of it, after the index was cleaned, and is then late to take it
# back: it was killed, or it waited. A worker takes over from one that is gone after a minute, so this is ample.
LATE_WRITE_SECONDS: Final = 900.0
MOST_REMEMBERED: Final = 1_000  # ids a process keeps and reads anew at each look; above it, each search asks about what it found

# As text, because every process asks this four times a second: half of the time that the same takes as expressions.
_STATE: Final = text(
    "SELECT (SELECT generation FROM index_state WHERE id = 1), EXISTS (SELECT 1 FROM index_backlog WHERE index_name = :index)"
)
_GONE: Final = text(
    "SELECT id FROM documents WHERE deleted_at IS NOT NULL AND purged_at IS NULL"
    " UNION ALL SELECT id FROM documents WHERE purged_at > :lately LIMIT :most"
).bindparams(bindparam("lately", type_=UtcDateTime()))


@dataclass(frozen=True, slots=True)
class Visibility:
    """`generation`: the index's. `deleted`: documents of which it may hold passages though they are gone. `complete`: there are no others."""

    generation: int
    deleted: frozenset[str]
    complete: bool


def read_visibility(session: Session, index: str) -> Visibility:
    """The generation of this index, and the deleted documents of which it may still hold passages: those that are not purged, or were purged
    less than LATE_WRITE_SECONDS ago. While the outbox still owes this index something, the list is not complete."""
    generation, owed = session.execute(_STATE, {"index": index}).one()
    lately = now() - timedelta(seconds=LATE_WRITE_SECONDS)
    gone = session.scalars(_GONE, {"lately": lately, "most": MOST_REMEMBERED + 1}).all()
    return Visibility(generation or 0, frozenset(gone), not owed and len(gone) <= MOST_REMEMBERED)


def deleted_among(session: Session, document_ids: Collection[str]) -> set[str]:
    """Those of these documents that were deleted."""
    query = select(DocumentRow.id).where(DocumentRow.id.in_(document_ids), DocumentRow.deleted_at.is_not(None))
    return set(session.scalars(query)) if document_ids else set()
