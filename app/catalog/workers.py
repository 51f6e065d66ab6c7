"""Heartbeats of the workers, and removing what the catalog need not keep."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.catalog.tables import IdempotencyRow, SessionRow, WorkerRow, now


def write_heartbeat(session: Session, executor_id: str, release_id: str, longest: tuple[str, datetime] | None = None) -> None:
    """Write this worker's heartbeat. `longest`: the document that it has been processing for longest, and since when."""
    row = session.get(WorkerRow, (executor_id, release_id))
    if row is None:
        row = WorkerRow(executor_id=executor_id, release_id=release_id)
        session.add(row)
    row.seen_at = now()
    row.document_id, row.document_since = longest or (None, None)


def heartbeats(session: Session) -> dict[tuple[str, str], datetime]:
    """The last heartbeat of each worker, by executor id and release id, as stamped by the clock of the worker's machine."""
    query = select(WorkerRow.executor_id, WorkerRow.release_id, WorkerRow.seen_at)
    return {(executor, release): seen_at for executor, release, seen_at in session.execute(query)}


def forget_old(session: Session, *, idempotency_hours: int, worker_days: int) -> None:
    """Delete idempotency keys older than `idempotency_hours`, ended sessions, and workers unseen for `worker_days`."""
    moment = now()
    session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < moment - timedelta(hours=idempotency_hours)))
    session.execute(delete(SessionRow).where(SessionRow.expires_at < moment))
    session.execute(delete(WorkerRow).where(WorkerRow.seen_at < moment - timedelta(days=worker_days)))
