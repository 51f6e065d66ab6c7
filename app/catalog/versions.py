"""Newer versions of documents: what comes from the same origin replaces what came before, new first, old last.

A document's origin is its source, else the name of its file, within its collection. The older version answers until the newer one is indexed
by every index in service; then it is deleted. The column `replaced_by` says which document another waits for, and stays afterwards, so that an
old id goes on to name the newest version.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, TextClause, bindparam, func, or_, select, text, update
from sqlalchemy.orm import Session

from app.catalog import index_outbox, index_state
from app.catalog.tables import AHEAD, ORIGIN_START, DocumentRow, now

_ORIGIN_START_CHARACTERS: Final = 200  # as in ORIGIN_START
_LONGEST_CHAIN: Final = 10_000  # versions of one document that an old id is followed through, one look-up each
_SHOWN_SECONDS: Final = 1.0  # until every process knows of a deletion (app/answering/catalog_view.py: half a second)
# As in the partial index, to the letter, so that the index is used.
_WAITING: Final = text("documents.replaced_by IS NOT NULL AND documents.deleted_at IS NULL")


def document_origin(source: str | None, filename: str | None) -> str:
    """Where a document comes from; empty when that is not known."""
    return (source if source is not None else filename) or ""


def one_at_a_time(session: Session, collection: str, of: str) -> None:
    """Until this transaction ends nobody else accepts a version of the same origin, or two would not see each other. SQLite has one writer."""
    if of and session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"{collection}\n{of}"})


def take_place(session: Session, document_id: str, collection: str, of: str) -> None:
    """Whatever else of this origin is live makes way for this document as soon as it is indexed, which may be now."""
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
    """These documents make way for `document_id`, which itself makes way for none of them any more."""
    if not others:
        return
    session.execute(update(DocumentRow).where(DocumentRow.id == document_id).values(replaced_by=None))
    session.execute(update(DocumentRow).where(DocumentRow.id.in_(others)).values(replaced_by=document_id))
    session.expire_all()
    index_state.raise_generation(session)  # what is cached of an older version's state ends
    make_way(session, [document_id])


def waited_for(session: Session, document_ids: Collection[str]) -> list[str]:
    """Those of these documents that older versions make way for."""
    query = select(DocumentRow.replaced_by).where(_WAITING, DocumentRow.replaced_by.in_(document_ids)).distinct()
    return [one for one in session.scalars(query) if one is not None] if document_ids else []


def make_way(session: Session, document_ids: Collection[str]) -> list[str]:
    """Delete what waits for these documents, of those that every index in service holds by now. Returns the ids of what was deleted."""
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
    """Mark as deleted what is live and fits; passages and bodies are removed by the worker. Returns the ids."""
    moment = now()
    gone = session.scalars(
        update(DocumentRow)
        .where(*conditions, DocumentRow.deleted_at.is_(None))
        .values(deleted_at=moment, updated_at=moment)
        .returning(DocumentRow.id),
        execution_options={"synchronize_session": False},
    ).all()
    if gone:
        index_state.raise_generation(
            session
        )  # what is cached may show them; after the rows, in the order in which a worker takes the two
    return list(gone)


def overdue(session: Session, limit: int) -> list[str]:
    """Indexed documents that others still wait for: whoever should have made them way was killed, or is of an older release."""
    successors = select(DocumentRow.replaced_by).where(_WAITING).distinct().subquery()
    query = (
        select(DocumentRow.id)
        .join(successors, DocumentRow.id == successors.c.replaced_by)
        .where(DocumentRow.deleted_at.is_(None), DocumentRow.status == "indexed")
    )
    return list(session.scalars(query.limit(limit)))


def newest(session: Session, document_id: str) -> list[str]:
    """The versions from this id on that are live, the newest first; empty when none is. The id itself need not be live."""
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
    """The live documents that make way for this one, and those that make way for them."""
    found: list[str] = []
    asked = [document_id]
    while asked:
        query = select(DocumentRow.id).where(_WAITING, DocumentRow.replaced_by.in_(asked))
        asked = [one for one in session.scalars(query) if one not in found and one != document_id]
        found += asked
    return found


def replacing(session: Session, document_ids: Sequence[str]) -> set[str]:
    """Those of these documents whose older version may still be shown somewhere: they are not indexed for everybody yet."""
    present = now()
    query = select(DocumentRow.replaced_by).where(
        DocumentRow.replaced_by.in_(document_ids),
        or_(
            DocumentRow.deleted_at.is_(None),
            DocumentRow.deleted_at.between(present - timedelta(seconds=_SHOWN_SECONDS), present + AHEAD),
        ),
    )
    return {one for one in session.scalars(query) if one is not None} if document_ids else set()
