"""Which snapshots passed their test."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.catalog.tables import SnapshotCheckRow, now


def record_passed(session: Session, snapshot_id: str, sampled: int) -> datetime:
    """Note that this snapshot was restored for a test now and answered; returns the moment."""
    forget_check(session, snapshot_id)
    moment = now()
    session.add(SnapshotCheckRow(snapshot_id=snapshot_id, verified_at=moment, sampled=sampled))
    return moment


def forget_check(session: Session, snapshot_id: str) -> None:
    """The snapshot failed its test, or is gone."""
    session.execute(delete(SnapshotCheckRow).where(SnapshotCheckRow.snapshot_id == snapshot_id))


def last_passed(session: Session) -> dict[str, datetime]:
    """Snapshot id to the moment of its last passed test."""
    return dict(session.execute(select(SnapshotCheckRow.snapshot_id, SnapshotCheckRow.verified_at)).tuples().all())
