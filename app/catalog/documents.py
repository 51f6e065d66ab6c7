"""Documents as clients see them: accept, look up, list, delete, retry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from app.catalog import index_outbox, versions
from app.catalog.accept import AcceptedDocument, Status, Submission, accept, requeue_failed, status_of
from app.catalog.tables import DocumentRow, now
from app.errors import InvalidRequest, NotFound

STATUSES: Final[tuple[Status, ...]] = ("queued", "processing", "indexed", "failed")
_ACTIONS: Final = {
    "unsupported-media": "Correct the file and send it again; this one can be deleted.",
    "killed-worker": "Send POST /v1/documents/{id}/retry after looking at the worker's log: `teal logs worker`.",
}
__all__ = [
    "STATUSES",
    "AcceptedDocument",
    "Document",
    "DocumentPage",
    "Status",
    "Submission",
    "accept",
    "collection_counts",
    "count_by_status",
    "delete",
    "delete_many",
    "exact",
    "get",
    "page",
    "put",
    "retry",
]
_RETRY: Final = "Send POST /v1/documents/{id}/retry; if it fails again, look at `teal logs worker`."


@dataclass(frozen=True, slots=True)
class Document:
    """A document without its body. `progress` is in [0, 1]. `embedded` False: it is found by
    words alone until a model is available."""

    id: str
    title: str
    source: str | None
    collection: str
    metadata: Mapping[str, str]
    media_type: str
    bytes: int
    status: Status
    progress: float
    passages: int
    embedded: bool
    error: Mapping[str, str] | None
    warnings: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """One page of documents, newest first; `next` is the cursor of the following page, None at the end."""

    items: tuple[Document, ...]
    next: str | None


def get(session: Session, document_id: str, collections: tuple[str, ...] | None) -> Document:
    """One document the caller may see; raises `NotFound`."""
    row = _visible(session, document_id, collections)
    return _document(row, _not_yet(session, [row.id]))


def exact(session: Session, document_id: str, collections: tuple[str, ...] | None) -> Document:
    """Like `get`, but prefers the version with exactly this id while it is live, so that a cited document is shown as it was
    cited. Raises `NotFound`."""
    row = session.get(DocumentRow, document_id.replace("\x00", "?"))
    if row is None or row.deleted_at is not None or (collections is not None and row.collection not in collections):
        return get(session, document_id, collections)
    return _document(row, set())


def page(
    session: Session,
    *,
    limit: int,
    cursor: str | None,
    collections: tuple[str, ...] | None,
    status: Status | None = None,
    named: str | None = None,
) -> DocumentPage:
    """Up to `limit` documents, newest first, after `cursor` (an id from `DocumentPage.next`). `named`: only those whose title or
    source contains this text; case is ignored."""
    if cursor is not None and (len(cursor) != 36 or not cursor.replace("-", "").isalnum()):
        raise InvalidRequest(f"The cursor {cursor[:40]!r} is not one this service gave.")
    query = select(DocumentRow).where(DocumentRow.deleted_at.is_(None), *_within(collections))
    if status is not None:
        query = query.where(DocumentRow.status == status)
    if named:
        query = query.where(
            or_(DocumentRow.title.icontains(named, autoescape=True), DocumentRow.source.icontains(named, autoescape=True))
        )
    if cursor is not None:
        query = query.where(DocumentRow.id < cursor)
    rows = session.scalars(query.order_by(DocumentRow.id.desc()).limit(limit + 1)).all()
    awaited = _not_yet(session, [row.id for row in rows])
    items = tuple(_document(row, awaited) for row in rows[:limit])
    return DocumentPage(items, items[-1].id if len(rows) > limit else None)


def delete(session: Session, document_id: str, collections: tuple[str, ...] | None) -> list[str]:
    """Hide the document at once, with its earlier and later versions; the worker removes passages and bodies.
    Returns the ids of the deleted documents. A failed version is deleted alone: the document that it should
    have replaced stays. Raises `NotFound`."""
    row = _visible(session, document_id, collections)
    live = versions.newest(session, document_id)
    if row.status != "failed":
        live += [one for newer in [*live] for one in versions.waiting_for(session, newer)]
    return versions.hide_documents(session, DocumentRow.id.in_(live), *_within(collections))


def delete_many(
    session: Session,
    *,
    ids: Sequence[str] | None,
    collections: tuple[str, ...] | None,
    source: str | None,
    limit: int,
) -> list[str]:
    """Hide up to `limit` documents that fulfil all given conditions; returns their ids. Call it again until it returns none."""
    conditions = list(_within(collections))
    if ids is not None:
        conditions.append(DocumentRow.id.in_(ids))
    if source is not None:
        conditions.append(DocumentRow.source == source)
    some = select(DocumentRow.id).where(DocumentRow.deleted_at.is_(None), *conditions).limit(limit)
    return versions.hide_documents(session, DocumentRow.id.in_(session.scalars(some).all()))


def put(session: Session, document_id: str, submission: Submission, collections: tuple[str, ...] | None) -> AcceptedDocument:
    """Accept a newer version of this document, in its collection, and of its origin unless `submission` names a source. The older
    version stays searchable until the newer one is indexed. The same content with another title or other metadata is indexed
    again under its own id. Raises `NotFound`."""
    row = _visible(session, document_id, collections)
    submission = replace(
        submission,
        collection=row.collection,
        source=row.source if submission.source is None else submission.source,
        filename=submission.filename or row.filename,
    )
    accepted = accept(session, submission, key_id="", idempotency_key=None)
    if accepted.id == row.id:
        return _described_anew(session, row, submission, accepted)
    versions.supersede(session, accepted.id, [one for one in versions.newest(session, document_id) if one != accepted.id])
    return accepted


def _described_anew(session: Session, row: DocumentRow, submission: Submission, accepted: AcceptedDocument) -> AcceptedDocument:
    session.refresh(row)
    said = (submission.title or row.title, submission.source, dict(submission.metadata))
    if said == (row.title, row.source, row.attributes):
        return accepted
    row.title, row.source, row.attributes = said
    row.status, row.revision, row.attempts, row.passages_done, row.updated_at = "queued", row.revision + 1, 0, 0, now()
    session.flush()
    return AcceptedDocument(row.id, "queued", row.revision, True)


def retry(session: Session, document_id: str, collections: tuple[str, ...] | None) -> AcceptedDocument:
    """Queue a failed document again with fresh attempts; any other is left as it is (`created` False)."""
    row = _visible(session, document_id, collections)
    return requeue_failed(session, row)


def count_by_status(session: Session, collections: tuple[str, ...] | None = None) -> dict[str, int]:
    """Documents by status, of the collections the caller may see; every status is present."""
    query = (
        select(DocumentRow.status, func.count())
        .where(DocumentRow.deleted_at.is_(None), *_within(collections))
        .group_by(DocumentRow.status)
    )
    return dict.fromkeys(STATUSES, 0) | dict(session.execute(query).tuples().all())


def collection_counts(session: Session, collections: tuple[str, ...] | None) -> dict[str, int]:
    """Documents by collection, in order of name, of the collections the caller may see."""
    query = (
        select(DocumentRow.collection, func.count())
        .where(DocumentRow.deleted_at.is_(None), *_within(collections))
        .group_by(DocumentRow.collection)
        .order_by(DocumentRow.collection)
    )
    return dict(session.execute(query).tuples().all())


def _visible(session: Session, document_id: str, collections: tuple[str, ...] | None) -> DocumentRow:
    """The newest live version of the document; the id of a replaced version still names the document. Raises `NotFound`."""
    document_id = document_id.replace("\x00", "?")  # neither character occurs in an id, and PostgreSQL refuses NUL in a query
    row = session.scalars(
        select(DocumentRow).where(
            DocumentRow.id == next(iter(versions.newest(session, document_id)), document_id),
            DocumentRow.deleted_at.is_(None),
            *_within(collections),
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no document {document_id[:64]!r} that this key may see.")
    return row


def _within(collections: tuple[str, ...] | None) -> tuple[ColumnElement[bool], ...]:
    return () if collections is None else (DocumentRow.collection.in_(collections),)


def _not_yet(session: Session, document_ids: Sequence[str]) -> set[str]:
    """The documents of `document_ids` that not every user can find yet: an index in service has still to take them over, or an
    older version may still be shown."""
    return index_outbox.waiting_for_serving_index(session, document_ids) | versions.replacing(session, document_ids)


def _document(row: DocumentRow, awaited: Set[str]) -> Document:
    error = None
    status: Status = "processing" if row.status == "indexed" and row.id in awaited else status_of(row)
    if row.status == "failed" and row.error_code is not None:
        action = _ACTIONS.get(row.error_code, _RETRY).replace("{id}", row.id)
        error = {"code": row.error_code, "detail": row.error_detail or "", "action": action}
    done = row.passages_done / row.passages_total if row.passages_total else 0.0
    return Document(
        id=row.id,
        title=row.title or row.filename or "",  # used until the worker has read the title in the file
        source=row.source,
        collection=row.collection,
        metadata=row.attributes,
        media_type=row.media_type,
        bytes=row.bytes,
        status=status,
        progress=1.0 if status == "indexed" else min(done, 1.0),
        passages=row.passages_total,
        embedded=row.embedded,
        error=error,
        warnings=tuple(row.warnings or ()),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
