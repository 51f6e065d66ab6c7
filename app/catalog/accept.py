"""Accepts documents: the same content is stored once, and a repeated request is carried out once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from sqlalchemy import Table, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from app.catalog import versions
from app.catalog.tables import ContentRow, DocumentRow, IdempotencyRow, new_id, now
from app.errors import CatalogUnavailable, Conflict

Status = Literal["queued", "processing", "indexed", "failed"]
_ACCEPT_TRIES: Final = 3  # a document that is deleted between insert and look-up makes another try necessary


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
class AcceptedDocument:
    """The result of `accept`. `created`: this call made the document or queued it again, so the caller must enqueue a job.
    `known_as`: the name under which the same content was already stored; it was not stored a second time."""

    id: str
    status: Status
    revision: int
    created: bool
    known_as: str | None = None


def accept(session: Session, submission: Submission, *, key_id: str, idempotency_key: str | None) -> AcceptedDocument:
    """Store a document, unless its collection already has the same content: then the existing document is the
    result, and is queued again if it had failed. Other documents of the same origin in the collection are
    replaced as soon as the document is indexed.

    `session` is a write session. Raises `Conflict` when this key used `idempotency_key` for another request.
    """
    if idempotency_key is not None:
        earlier = session.get(IdempotencyRow, (key_id, idempotency_key))
        if earlier is not None:
            if earlier.fingerprint != _fingerprint(submission):
                raise Conflict(f"The Idempotency-Key {idempotency_key!r} was used for another request.")
            row = session.get(DocumentRow, earlier.document_id)
            if row is not None and row.deleted_at is None:
                return AcceptedDocument(row.id, status_of(row), row.revision, False)
            session.delete(earlier)
            session.flush()
    origin = versions.document_origin(submission.source, submission.filename)
    versions.one_at_a_time(session, submission.collection, origin)
    accepted = _store(session, submission)
    versions.take_place(session, accepted.id, submission.collection, origin)
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
        # On PostgreSQL the same request may have been stored by another process at the same moment.
        winner = None if stored else session.get(IdempotencyRow, (key_id, idempotency_key))
        if winner is not None and winner.fingerprint != _fingerprint(submission):
            raise Conflict(f"The Idempotency-Key {idempotency_key!r} was used for another request.")
    return accepted


def _store(session: Session, submission: Submission) -> AcceptedDocument:
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
            return AcceptedDocument(document_id, "queued", 1, True)
        existing = session.scalars(
            select(DocumentRow).where(
                DocumentRow.collection == submission.collection,
                DocumentRow.content_sha256 == submission.content_sha256,
                DocumentRow.deleted_at.is_(None),
            )
        ).one_or_none()
        if existing is not None:
            there = versions.document_origin(existing.source, existing.filename)
            other = there != versions.document_origin(submission.source, submission.filename)
            return replace(requeue_failed(session, existing), known_as=there or existing.title if other else None)
    raise CatalogUnavailable("The same document was deleted and sent at the same moment, several times. Next: send it again.")


def requeue_failed(session: Session, row: DocumentRow) -> AcceptedDocument:
    """Queue a failed document again, by compare-and-set on its revision, so that two simultaneous retries queue it once."""
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
    return AcceptedDocument(row.id, status_of(row), row.revision, changed == 1)


def _insert_ignoring(session: Session, table: type[DocumentRow] | type[IdempotencyRow], values: Mapping[str, Any]) -> bool:
    """Insert unless a unique index already holds the row; atomic on both databases. True when it was inserted."""
    insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    target = cast("Table", table.__table__)
    key = next(iter(target.primary_key.columns))  # returned, because psycopg's row count does not show an insert
    statement = insert(target).values(dict(values)).on_conflict_do_nothing().returning(key)
    return session.execute(statement).one_or_none() is not None


def _fingerprint(submission: Submission) -> str:
    parts = [
        submission.collection,
        submission.content_sha256,
        submission.title,
        submission.source,
        sorted(submission.metadata.items()),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def status_of(row: DocumentRow) -> Status:
    """The row's status, as the type `Status`."""
    return cast("Status", row.status)
