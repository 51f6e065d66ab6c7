"""The recorded sample of users' searches and questions: adding rows, keeping it small, and reading what can be replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.catalog.tables import SampledQueryRow, now, oldest_id
from app.settings import QuerySample

MOST_ROWS: Final = 20_000  # more than two busy processes record in a day; at most 20 MB with texts of a usual length
MOST_DAYS: Final = 7  # a week has working days and a weekend; what is older says little about today's users


def add(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store recorded queries; each has the columns of SampledQueryRow."""
    session.execute(insert(SampledQueryRow), [dict(row) for row in rows])


def trim(session: Session, keep: QuerySample, *, most_rows: int = MOST_ROWS) -> None:
    """Delete what is too old or beyond the bound, and whatever the setting does not allow to be kept: the texts, or everything."""
    if keep == "off":
        session.execute(delete(SampledQueryRow))
        return
    if keep == "hashes":
        session.execute(update(SampledQueryRow).where(SampledQueryRow.request.is_not(None)).values(request=None))
    session.execute(delete(SampledQueryRow).where(SampledQueryRow.id < oldest_id(now() - timedelta(days=MOST_DAYS))))
    beyond = session.scalar(select(SampledQueryRow.id).order_by(SampledQueryRow.id.desc()).offset(most_rows).limit(1))
    if beyond is not None:
        session.execute(delete(SampledQueryRow).where(SampledQueryRow.id <= beyond))


def newest_with_text(session: Session, limit: int) -> list[SampledQueryRow]:
    """The newest recorded queries whose text was kept."""
    query = select(SampledQueryRow).where(SampledQueryRow.request.is_not(None)).order_by(SampledQueryRow.id.desc()).limit(limit)
    return list(session.scalars(query))


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(SampledQueryRow)) or 0
