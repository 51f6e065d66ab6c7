"""Records which snapshots passed their test restore."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.catalog.tables import SnapshotCheckRow, now


def record_passed(session: Session, snapshot_id: str, sampled: int) -> datetime:
    """Record that this snapshot passed its test restore now; returns the moment."""
    forget_check(session, snapshot_id)
    moment = now()
    session.add(SnapshotCheckRow(snapshot_id=snapshot_id, verified_at=moment, sampled=sampled))
    return moment


def forget_check(session: Session, snapshot_id: str) -> None:
    """Delete the record of a snapshot that failed its test or is gone."""
    session.execute(delete(SnapshotCheckRow).where(SnapshotCheckRow.snapshot_id == snapshot_id))


def last_passed(session: Session) -> dict[str, datetime]:
    """The moment of the last passed test, by snapshot id."""
    return dict(session.execute(select(SnapshotCheckRow.snapshot_id, SnapshotCheckRow.verified_at)).tuples().all())
