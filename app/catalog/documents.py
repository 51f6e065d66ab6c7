"""Documents as clients see them: accept, look up, list, delete, retry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, cast

from sqlalchemy import ColumnElement, Table, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from app.catalog.tables import ContentRow, DocumentRow, IdempotencyRow, new_id, now
from app.errors import CatalogUnavailable, Conflict, InvalidRequest, NotFound

Status = Literal["queued", "processing", "indexed", "failed"]
STATUSES: Final[tuple[Status, ...]] = ("queued", "processing", "indexed", "failed")
_ACCEPT_TRIES: Final = 3  # a document deleted between insert and look-up makes one more try needed
_ACTIONS: Final = {
    "unsupported-media": "Correct the file as `detail` says and send it again; this one can be deleted.",
    "killed-worker": "Send POST /v1/documents/{id}/retry after looking at the worker's log: `teal logs worker`.",
}
_RETRY: Final = "Send POST /v1/documents/{id}/retry; if it fails again, look at `teal logs worker`."


@dataclass(frozen=True, slots=True)
class Submission:
    """What a client sent. `content_sha256`: over title + NUL + text (JSON) or over the file's bytes (uploads)."""

    title: str
    body: bytes
    media_type: str
    filename: str | None
    collection: str
    source: str | None
    metadata: Mapping[str, str]
    content_sha256: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """`created`: this call made the document or queued it again, so it is to be enqueued."""

    id: str
    status: Status
    revision: int
    created: bool


@dataclass(frozen=True, slots=True)
class Document:
    """A document without its body. `progress` in [0, 1]; `embedded` False: found by words alone until the model is there."""

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
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first; `next` is the cursor of the following page, None at the end."""

    items: tuple[Document, ...]
    next: str | None


def accept(session: Session, submission: Submission, *, key_id: str, idempotency_key: str | None) -> Accepted:
    """Store a document once: the same content in the same collection is the existing one, a failed one is queued again.

    `session` is a write session. Raises `Conflict` when `idempotency_key` was used for another request by this key.
    """
    if idempotency_key is not None:
        earlier = session.get(IdempotencyRow, (key_id, idempotency_key))
        if earlier is not None:
            if earlier.fingerprint != _fingerprint(submission):
                raise Conflict(f"The Idempotency-Key {idempotency_key!r} was used for another request.")
            row = session.get(DocumentRow, earlier.document_id)
            if row is not None and row.deleted_at is None:
                return Accepted(row.id, _status(row), row.revision, False)
            session.delete(earlier)
            session.flush()
    accepted = _store(session, submission)
    if idempotency_key is not None:
        stored = _insert_ignoring(
            session,
            IdempotencyRow,
            {
                "key_id": key_id,
                "idempotency_key": idempotency_key,
                "fingerprint": _fingerprint(submission),
                "document_id": accepted.id,
                "created_at": now(),
            },
        )
        winner = None if stored else session.get(IdempotencyRow, (key_id, idempotency_key))  # PostgreSQL: sent twice at once
        if winner is not None and winner.fingerprint != _fingerprint(submission):
            raise Conflict(f"The Idempotency-Key {idempotency_key!r} was used for another request.")
    return accepted


def get(session: Session, document_id: str, collections: tuple[str, ...] | None) -> Document:
    """One document the caller may see; raises `NotFound`."""
    return _document(_visible(session, document_id, collections))


def page(
    session: Session,
    *,
    limit: int,
    cursor: str | None,
    collections: tuple[str, ...] | None,
    status: Status | None = None,
) -> Page:
    """Up to `limit` documents, newest first, after `cursor` (an id from `Page.next`)."""
    if cursor is not None and (len(cursor) != 36 or not cursor.replace("-", "").isalnum()):
        raise InvalidRequest(f"The cursor {cursor[:40]!r} is not one this service gave.")
    query = select(DocumentRow).where(DocumentRow.deleted_at.is_(None), *_within(collections))
    if status is not None:
        query = query.where(DocumentRow.status == status)
    if cursor is not None:
        query = query.where(DocumentRow.id < cursor)
    rows = session.scalars(query.order_by(DocumentRow.id.desc()).limit(limit + 1)).all()
    items = tuple(_document(row) for row in rows[:limit])
    return Page(items, items[-1].id if len(rows) > limit else None)


def delete(session: Session, document_id: str, collections: tuple[str, ...] | None) -> None:
    """Hide the document at once; its passages and body are removed by the worker. Raises `NotFound`."""
    row = _visible(session, document_id, collections)
    row.deleted_at = row.updated_at = now()


def retry(session: Session, document_id: str, collections: tuple[str, ...] | None) -> Accepted:
    """Queue a failed document again with fresh attempts; any other is left as it is (`created` False)."""
    row = _visible(session, document_id, collections)
    return _requeue_failed(session, row)


def counts(session: Session) -> dict[str, int]:
    """Documents by status; every status is present."""
    query = select(DocumentRow.status, func.count()).where(DocumentRow.deleted_at.is_(None)).group_by(DocumentRow.status)
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


def _store(session: Session, submission: Submission) -> Accepted:
    for _ in range(_ACCEPT_TRIES):
        moment = now()
        document_id = new_id()
        inserted = _insert_ignoring(
            session,
            DocumentRow,
            {
                "id": document_id,
                "collection": submission.collection,
                "title": submission.title,
                "source": submission.source,
                "metadata": dict(submission.metadata),
                "content_sha256": submission.content_sha256,
                "media_type": submission.media_type,
                "filename": submission.filename,
                "bytes": len(submission.body),
                "status": "queued",
                "attempts": 0,
                "revision": 1,
                "passages_total": 0,
                "passages_done": 0,
                "embedded": True,
                "created_at": moment,
                "updated_at": moment,
            },
        )
        if inserted:
            session.add(ContentRow(document_id=document_id, body=submission.body))
            session.flush()
            return Accepted(document_id, "queued", 1, True)
        existing = session.scalars(
            select(DocumentRow).where(
                DocumentRow.collection == submission.collection,
                DocumentRow.content_sha256 == submission.content_sha256,
                DocumentRow.deleted_at.is_(None),
            )
        ).one_or_none()
        if existing is not None:
            return _requeue_failed(session, existing)
    raise CatalogUnavailable("The same document was deleted and sent at the same moment, several times. Next: send it again.")


def _requeue_failed(session: Session, row: DocumentRow) -> Accepted:
    """Compare-and-set on the revision, so two retries at once queue it once."""
    changed = cast(
        "CursorResult[Any]",
        session.execute(
            update(DocumentRow)
            .where(DocumentRow.id == row.id, DocumentRow.status == "failed", DocumentRow.revision == row.revision)
            .values(
                status="queued",
                revision=DocumentRow.revision + 1,
                attempts=0,
                error_code=None,
                error_detail=None,
                passages_done=0,
                updated_at=now(),
            )
        ),
    ).rowcount
    session.refresh(row)
    return Accepted(row.id, _status(row), row.revision, changed == 1)


def _insert_ignoring(session: Session, table: type[DocumentRow] | type[IdempotencyRow], values: Mapping[str, Any]) -> bool:
    """Insert unless a unique index already holds the row; atomic on both databases. True when it was inserted."""
    insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    target = cast("Table", table.__table__)
    key = next(iter(target.primary_key.columns))  # asked back, because psycopg's row count does not tell
    statement = insert(target).values(dict(values)).on_conflict_do_nothing().returning(key)
    return session.execute(statement).one_or_none() is not None


def _visible(session: Session, document_id: str, collections: tuple[str, ...] | None) -> DocumentRow:
    row = session.scalars(
        select(DocumentRow).where(DocumentRow.id == document_id, DocumentRow.deleted_at.is_(None), *_within(collections))
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no document {document_id[:64]!r} that this key may see.")
    return row


def _within(collections: tuple[str, ...] | None) -> tuple[ColumnElement[bool], ...]:
    return () if collections is None else (DocumentRow.collection.in_(collections),)


def _status(row: DocumentRow) -> Status:
    return cast("Status", row.status)


def _document(row: DocumentRow) -> Document:
    error = None
    if row.status == "failed" and row.error_code is not None:
        action = _ACTIONS.get(row.error_code, _RETRY).replace("{id}", row.id)
        error = {"code": row.error_code, "detail": row.error_detail or "", "action": action}
    done = row.passages_done / row.passages_total if row.passages_total else 0.0
    return Document(
        id=row.id,
        title=row.title,
        source=row.source,
        collection=row.collection,
        metadata=row.attributes,
        media_type=row.media_type,
        bytes=row.bytes,
        status=_status(row),
        progress=1.0 if row.status == "indexed" else min(done, 1.0),
        passages=row.passages_total,
        embedded=row.embedded,
        error=error,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _fingerprint(submission: Submission) -> str:
    parts = [
        submission.collection,
        submission.content_sha256,
        submission.title,
        submission.source,
        sorted(submission.metadata.items()),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
