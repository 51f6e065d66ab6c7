"""The worker's queries on the catalog: load a document, report progress, finish it, and find what was left unfinished.

Every change is made for one revision of the document: it changes nothing once the document is at another revision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, text, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.catalog.tables import AHEAD, ContentRow, DocumentRow, now

_IN_WORK: Final = ("queued", "processing")


@dataclass(frozen=True, slots=True)
class Job:
    """A document and the revision of it that is to be ingested."""

    document_id: str
    revision: int


@dataclass(frozen=True, slots=True)
class IngestionTask:
    """A job with everything that is needed to do it. `attempts` counts earlier starts that failed or killed their worker."""

    job: Job
    title: str
    body: bytes
    media_type: str
    filename: str | None
    collection: str
    source: str | None
    metadata: Mapping[str, str]
    attempts: int
    passages_total: int
    passages_done: int
    embedded: bool
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a job: `done` of `total` passages are written. `final`: all of them are visible to readers."""

    job: Job
    done: int
    total: int
    embedded: bool
    final: bool
    title: str | None = None  # found in the file, when its sender named none
    warnings: tuple[str, ...] = ()  # about what could not be read
    metadata: Mapping[str, str] | None = None  # the sender's with what was found in the file, when something was


def load_task(session: Session, job: Job) -> IngestionTask | None:
    """The task of a job; None when the document is deleted, at another revision, or finished."""
    return _task(session, *_current(job), DocumentRow.status.in_(_IN_WORK))


def indexed_task(session: Session, document_id: str) -> IngestionTask | None:
    """A document that is indexed, as a task for another index; None for every other."""
    return _task(session, DocumentRow.id == document_id, DocumentRow.deleted_at.is_(None), DocumentRow.status == "indexed")


def is_current(session: Session, job: Job) -> bool:
    """Whether the document is still there, at this revision."""
    return session.scalar(select(DocumentRow.id).where(*_current(job))) is not None


def in_work(session: Session, document_id: str) -> bool:
    """Whether the document waits for a worker or is with one."""
    query = select(DocumentRow.id).where(
        DocumentRow.id == document_id, DocumentRow.deleted_at.is_(None), DocumentRow.status.in_(_IN_WORK)
    )
    return session.scalar(query) is not None


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """An indexed document and the time at which it was indexed."""

    document_id: str
    updated_at: datetime


def indexed_page(session: Session, *, after: str | None, limit: int) -> list[IndexedDocument]:
    """The next indexed documents in order of id."""
    query = select(DocumentRow.id, DocumentRow.updated_at).where(
        DocumentRow.deleted_at.is_(None), DocumentRow.status == "indexed"
    )
    if after is not None:
        query = query.where(DocumentRow.id > after)
    return [IndexedDocument(*row) for row in session.execute(query.order_by(DocumentRow.id).limit(limit)).tuples()]


def sample_indexed(session: Session, count: int, before: datetime | None) -> list[str]:
    """Up to `count` documents that were indexed before a moment (`before` None: at any time), spread evenly in order of id."""
    ids = select(DocumentRow.id, func.row_number().over(order_by=DocumentRow.id).label("number")).where(
        DocumentRow.deleted_at.is_(None), DocumentRow.status == "indexed"
    )
    if before is not None:
        ids = ids.where(DocumentRow.updated_at < before)
    numbered = ids.subquery()
    total = session.scalar(select(func.count()).select_from(numbered)) or 0
    every = max(1, total // count)
    query = select(numbered.c.id).where(numbered.c.number % every == 0).order_by(numbered.c.id).limit(count)
    return list(session.scalars(query))


def may_have_passages(session: Session, document_ids: Sequence[str]) -> set[str]:
    """The ones of these documents that are live and have not failed. The index may not keep any passage of the others."""
    query = select(DocumentRow.id).where(
        DocumentRow.id.in_(document_ids), DocumentRow.deleted_at.is_(None), DocumentRow.status != "failed"
    )
    return set(session.scalars(query)) if document_ids else set()


def _task(session: Session, *conditions: ColumnElement[bool]) -> IngestionTask | None:
    row = session.execute(
        select(DocumentRow, ContentRow.body).join(ContentRow, ContentRow.document_id == DocumentRow.id).where(*conditions)
    ).one_or_none()
    if row is None:
        return None
    document, body = row
    return IngestionTask(
        Job(document.id, document.revision),
        document.title,
        body,
        document.media_type,
        document.filename,
        document.collection,
        document.source,
        document.attributes,
        document.attempts,
        document.passages_total,
        document.passages_done,
        document.embedded,
        document.created_at,
    )


def is_deleted(session: Session, document_id: str) -> bool:
    """Whether the document's passages must be removed, because it is deleted or unknown to the catalog."""
    found = session.execute(select(DocumentRow.deleted_at).where(DocumentRow.id == document_id)).one_or_none()
    return found is None or found[0] is not None


def count_attempt(session: Session, job: Job) -> bool:
    """Count an attempt before the work that may kill the worker begins; False when the job is no longer wanted."""
    return _changed(
        session,
        update(DocumentRow)
        .where(*_current(job), DocumentRow.status.in_(_IN_WORK))
        .values(status="processing", attempts=DocumentRow.attempts + 1, updated_at=now()),
    )


def return_attempts(session: Session, jobs: Sequence[Job]) -> None:
    """Uncount the attempts of jobs that survived the risky part, or that only wait for a part that is away."""
    for job in jobs:
        session.execute(
            update(DocumentRow)
            .where(*_current(job), DocumentRow.attempts > 0)
            .values(attempts=DocumentRow.attempts - 1, updated_at=now())
        )


def record_progress(session: Session, progress: Sequence[Progress]) -> set[Job]:
    """Write progress; returns the jobs that are still wanted. The documents of the others were deleted or queued again."""
    moment = now()
    wanted = set()
    for item in progress:
        values: dict[str, Any] = {
            "passages_done": item.done,
            "passages_total": item.total,
            "embedded": item.embedded,
            "updated_at": moment,
        }
        if item.title is not None:
            values["title"] = item.title
        if item.metadata is not None:
            values["attributes"] = dict(item.metadata)
        if item.done > 0:
            values["attempts"] = 1  # a job that makes progress does not kill its workers: only attempts without progress add up
        if item.final:
            values |= {
                "warnings": list(item.warnings) or None,
                "status": "indexed",
                "attempts": 0,
                "error_code": None,
                "error_detail": None,
            }
        if _changed(session, update(DocumentRow).where(*_current(item.job)).values(values)):
            wanted.add(item.job)
    return wanted


def mark_failed(session: Session, job: Job, code: str, detail: str) -> bool:
    """Mark the document failed, with the reason its sender reads."""
    detail = detail.encode("utf-8", "replace").decode().replace("\x00", "")  # the message may quote bytes of the broken file
    return _changed(
        session,
        update(DocumentRow)
        .where(*_current(job), DocumentRow.status != "indexed")
        .values(status="failed", error_code=code, error_detail=detail[:2000], embedded=True, updated_at=now()),
    )


def purged(session: Session, document_ids: Sequence[str]) -> None:
    """Record that deleted documents have no passage left in the index, and delete their bodies."""
    session.execute(delete(ContentRow).where(ContentRow.document_id.in_(document_ids)))
    session.execute(update(DocumentRow).where(DocumentRow.id.in_(document_ids)).values(purged_at=now()))


def _older(moment: InstrumentedAttribute[Any], seconds: float) -> ColumnElement[bool]:
    """SQL condition: the moment is more than `seconds` ago, or so far in the future that a wrong clock stamped it."""
    present = now()
    return or_(moment < present - timedelta(seconds=seconds), moment > present + AHEAD)


def queued_jobs(
    session: Session, *, older_than_seconds: float, limit: int, after: tuple[datetime, str] | None
) -> list[tuple[Job, datetime]]:
    """Unfinished jobs that were not updated for `older_than_seconds`, oldest first, starting after an (updated_at, id) pair. A
    job whose update lies in the future counts too, because the time since its last update is unknown."""
    found: list[tuple[Job, datetime]] = []
    for status in ("queued", "processing"):
        query = select(DocumentRow.id, DocumentRow.revision, DocumentRow.updated_at).where(
            DocumentRow.deleted_at.is_(None), DocumentRow.status == status, _older(DocumentRow.updated_at, older_than_seconds)
        )
        if after is not None:
            moment, document_id = after
            query = query.where(
                (DocumentRow.updated_at > moment) | and_(DocumentRow.updated_at == moment, DocumentRow.id > document_id)
            )
        rows = session.execute(query.order_by(DocumentRow.updated_at, DocumentRow.id).limit(limit)).all()
        found += [(Job(document_id, revision), moment) for document_id, revision, moment in rows]
    return sorted(found, key=lambda pair: (pair[1], pair[0].document_id))[:limit]


def take_over(session: Session, job: Job) -> Job | None:
    """Queue a job whose worker is gone under a new revision, which is returned; None when another process was faster."""
    taken = _changed(
        session,
        update(DocumentRow)
        .where(*_current(job), DocumentRow.status.in_(_IN_WORK))
        .values(revision=DocumentRow.revision + 1, status="queued", updated_at=now()),
    )
    return Job(job.document_id, job.revision + 1) if taken else None


def requeue_unembedded(session: Session, limit: int) -> list[Job]:
    """Queue documents that were indexed by words alone, now that there is a model."""
    condition = text("NOT embedded AND deleted_at IS NULL")  # exactly the partial index's condition, so that it is used
    ids = session.scalars(select(DocumentRow.id).where(condition).order_by(DocumentRow.id).limit(limit)).all()
    return _requeue(session, DocumentRow.id.in_(ids), condition, DocumentRow.status == "indexed")


def requeue_all(session: Session, *, after: str | None, limit: int) -> list[Job]:
    """Queue the next `limit` documents in order of id, whatever their status; the bodies are in the catalog."""
    query = select(DocumentRow.id).where(DocumentRow.deleted_at.is_(None))
    if after is not None:
        query = query.where(DocumentRow.id > after)
    ids = session.scalars(query.order_by(DocumentRow.id).limit(limit)).all()
    return _requeue(session, DocumentRow.id.in_(ids))


def to_purge(session: Session, *, older_than_seconds: float, limit: int) -> list[str]:
    """Deleted documents whose passages may still be in the index."""
    return list(
        session.scalars(
            select(DocumentRow.id)
            .where(
                text("deleted_at IS NOT NULL AND purged_at IS NULL"),
                _older(DocumentRow.deleted_at, older_than_seconds),
            )
            .order_by(DocumentRow.deleted_at)
            .limit(limit)
        )
    )


def oldest_queued(session: Session) -> datetime | None:
    """When the document that has waited longest was last updated."""
    return session.scalar(
        select(func.min(DocumentRow.updated_at)).where(DocumentRow.deleted_at.is_(None), DocumentRow.status == "queued")
    )


def _requeue(session: Session, *conditions: ColumnElement[bool] | Any) -> list[Job]:
    rows = session.execute(
        update(DocumentRow)
        .where(*conditions, DocumentRow.deleted_at.is_(None))
        .values(
            status="queued",
            revision=DocumentRow.revision + 1,
            attempts=0,
            passages_done=0,
            error_code=None,
            error_detail=None,
            updated_at=now(),
        )
        .returning(DocumentRow.id, DocumentRow.revision),
        execution_options={"synchronize_session": False},
    ).all()
    return sorted((Job(document_id, revision) for document_id, revision in rows), key=lambda job: job.document_id)


def _current(job: Job) -> tuple[ColumnElement[bool], ...]:
    return (DocumentRow.id == job.document_id, DocumentRow.revision == job.revision, DocumentRow.deleted_at.is_(None))


def _changed(session: Session, statement: Any) -> bool:
    result = cast("CursorResult[Any]", session.execute(statement, execution_options={"synchronize_session": False}))
    return result.rowcount == 1
