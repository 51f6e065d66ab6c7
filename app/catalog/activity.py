"""The state of background work as the catalog records it: ages of heartbeats, of waiting
documents and of index outbox entries."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.catalog.engine import Catalog
from app.catalog.tables import DocumentRow, OutboxRow, SnapshotCheckRow, WorkerRow, now
from app.errors import CatalogUnavailable


def work_seen(session: Session) -> dict[str, Any]:
    """The state of the work, ready for JSON. Ages are in seconds; None where there is nothing to measure."""
    moment = now()

    def age(then: datetime | None) -> float | None:
        return None if then is None else round((moment - then).total_seconds(), 1)

    workers = session.execute(select(WorkerRow.executor_id, WorkerRow.release_id, WorkerRow.seen_at)).tuples().all()
    longest = {
        status: session.execute(
            select(DocumentRow.id, DocumentRow.updated_at)
            .where(DocumentRow.status == status, DocumentRow.deleted_at.is_(None))
            .order_by(DocumentRow.updated_at)
            .limit(1)
        ).first()
        for status in ("queued", "processing")
    }
    owed = session.execute(select(OutboxRow.index_name, func.count()).group_by(OutboxRow.index_name)).tuples().all()
    return {
        "workers": [{"executor": one, "release": release, "age_seconds": age(at)} for one, release, at in workers],
        **{status: None if row is None else {"document": row[0], "age_seconds": age(row[1])} for status, row in longest.items()},
        "owed": [{"index": name, "documents": count} for name, count in owed],
        "snapshot_tested_age_seconds": age(session.scalar(select(func.max(SnapshotCheckRow.verified_at)))),
    }


def try_write(catalog: Catalog) -> float:
    """Open and end a write transaction; returns the seconds that took. Raises
    CatalogUnavailable when the catalog cannot be written."""
    began = time.monotonic()
    with catalog.write() as session:
        dialect = session.connection().dialect.name
        if dialect == "postgresql" and session.scalar(text("SHOW transaction_read_only")) == "on":
            raise CatalogUnavailable("The database answers and takes no write: this server is a replica, or was demoted.")
    return round(time.monotonic() - began, 3)
