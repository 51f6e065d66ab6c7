"""Newer versions of documents: a new document replaces an older one of the same origin.

A document's origin is its source, or else its file name, within its collection. The older version stays searchable until every
serving index has the newer one; then it is deleted. The column `replaced_by` of the older version names the newer one, and is
kept after the deletion, so that an old id still leads to the newest version.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, TextClause, bindparam, func, or_, select, text, update
from sqlalchemy.orm import Session

from app.catalog import index_outbox, index_state
from app.catalog.tables import AHEAD, ORIGIN_START, DocumentRow, now

_ORIGIN_START_CHARACTERS: Final = 200  # the length in ORIGIN_START
_LONGEST_CHAIN: Final = 10_000  # the most versions through which an old id is followed, with one look-up each
_SHOWN_SECONDS: Final = 1.0  # after this every process has seen a deletion (app/answering/catalog_view.py: half a second)
# Must be the exact text of the partial index's condition, so that the index is used.
_WAITING: Final = text("documents.replaced_by IS NOT NULL AND documents.deleted_at IS NULL")


def document_origin(source: str | None, filename: str | None) -> str:
    """The origin of a document; empty when it is unknown."""
    return (source if source is not None else filename) or ""


def one_at_a_time(session: Session, collection: str, of: str) -> None:
    """Lock an origin until this transaction ends: two concurrent transactions would not see each other's version of the same
    origin. SQLite needs no lock, because it has one writer."""
    if of and session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"{collection}\n{of}"})


def take_place(session: Session, document_id: str, collection: str, of: str) -> None:
    """Mark every other live document of origin `of` as replaced by this one. They are deleted once this
    one is indexed, which it may already be."""
    if not of:
        return
    others = session.scalars(
        select(DocumentRow.id).where(
            DocumentRow.collection == collection,
            text(f"{ORIGIN_START.text} = :origin_start").bindparams(bindparam("origin_start", of[:_ORIGIN_START_CHARACTERS])),
            func.coalesce(DocumentRow.source, DocumentRow.filename) == of,
            DocumentRow.deleted_at.is_(None),
            DocumentRow.id != document_id,
        )
    ).all()
    supersede(session, document_id, others)


def supersede(session: Session, document_id: str, others: Collection[str]) -> None:
    """Mark `others` as replaced by `document_id`, which itself is no longer replaced by any document."""
    if not others:
        return
    session.execute(update(DocumentRow).where(DocumentRow.id == document_id).values(replaced_by=None))
    session.execute(update(DocumentRow).where(DocumentRow.id.in_(others)).values(replaced_by=document_id))
    session.expire_all()
    index_state.raise_generation(session)  # invalidates cached states of the older versions
    make_way(session, [document_id])


def waited_for(session: Session, document_ids: Collection[str]) -> list[str]:
    """The ones of these documents that are to replace a live older version."""
    query = select(DocumentRow.replaced_by).where(_WAITING, DocumentRow.replaced_by.in_(document_ids)).distinct()
    return [one for one in session.scalars(query) if one is not None] if document_ids else []


def make_way(session: Session, document_ids: Collection[str]) -> list[str]:
    """Delete the versions that these documents replace, where every serving index contains
    the newer one. Returns the deleted ids."""
    ready = set(
        session.scalars(
            select(DocumentRow.id).where(
                DocumentRow.id.in_(document_ids), DocumentRow.deleted_at.is_(None), DocumentRow.status == "indexed"
            )
        )
    )
    ready -= index_outbox.waiting_for_serving_index(session, sorted(ready))
    if not ready:
        return []
    return hide_documents(session, _WAITING, DocumentRow.replaced_by.in_(ready))


def hide_documents(session: Session, *conditions: ColumnElement[bool] | TextClause) -> list[str]:
    """Mark the live documents that fulfil the conditions as deleted; the worker removes
    passages and bodies. Returns their ids."""
    moment = now()
    gone = session.scalars(
        update(DocumentRow)
        .where(*conditions, DocumentRow.deleted_at.is_(None))
        .values(deleted_at=moment, updated_at=moment)
        .returning(DocumentRow.id),
        execution_options={"synchronize_session": False},
    ).all()
    if gone:
        # Invalidates cached answers that may show them. The rows of documents are locked first, as in a worker's transactions.
        index_state.raise_generation(session)
    return list(gone)


def overdue(session: Session, limit: int) -> list[str]:
    """Indexed documents whose older versions were not deleted, because the worker was killed
    first or belongs to an older release."""
    successors = select(DocumentRow.replaced_by).where(_WAITING).distinct().subquery()
    query = (
        select(DocumentRow.id)
        .join(successors, DocumentRow.id == successors.c.replaced_by)
        .where(DocumentRow.deleted_at.is_(None), DocumentRow.status == "indexed")
    )
    return list(session.scalars(query.limit(limit)))


def newest(session: Session, document_id: str) -> list[str]:
    """The live versions from this id on, the newest first; empty when there are none. The
    id itself may be of a deleted version."""
    live: list[str] = []
    seen: set[str] = set()
    following: str | None = document_id
    while following is not None and following not in seen and len(seen) < _LONGEST_CHAIN:
        seen.add(following)
        found = session.execute(
            select(DocumentRow.replaced_by, DocumentRow.deleted_at).where(DocumentRow.id == following)
        ).one_or_none()
        if found is None:
            break
        if found.deleted_at is None:
            live.append(following)
        following = found.replaced_by
    return live[::-1]


def waiting_for(session: Session, document_id: str) -> list[str]:
    """The live documents that this one replaces, directly or through other versions."""
    found: list[str] = []
    asked = [document_id]
    while asked:
        query = select(DocumentRow.id).where(_WAITING, DocumentRow.replaced_by.in_(asked))
        asked = [one for one in session.scalars(query) if one not in found and one != document_id]
        found += asked
    return found


def replacing(session: Session, document_ids: Sequence[str]) -> set[str]:
    """The ones of these documents whose older version some process may still show, so that they do not count as indexed yet."""
    present = now()
    query = select(DocumentRow.replaced_by).where(
        DocumentRow.replaced_by.in_(document_ids),
        or_(
            DocumentRow.deleted_at.is_(None),
            DocumentRow.deleted_at.between(present - timedelta(seconds=_SHOWN_SECONDS), present + AHEAD),
        ),
    )
    return {one for one in session.scalars(query) if one is not None} if document_ids else set()
