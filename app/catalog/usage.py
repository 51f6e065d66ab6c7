"""Counts what keys with a quota use per day. It is counted in the catalog and not in
Redis: a lost cache must not reset a quota."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, Literal

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.catalog.tables import KeyUsageRow

Counted = Literal["requests", "questions"]
_KEPT_DAYS: Final = 35  # a little over a month, to look back at; a key's older days are deleted when it begins a new day


def reserve(session: Session, key_id: str, what: Counted, day: date, *, count: int, limit: int) -> int:
    """Reserve `count` of the day's `limit` for this key, or the last few one by one;
    returns how many. Atomic between processes."""
    granted = _take(session, key_id, what, day, count, limit)
    if granted == 0 and session.get(KeyUsageRow, (key_id, day)) is None:
        _begin_day(session, key_id, day)
        granted = _take(session, key_id, what, day, count, limit)
    return granted


def used_on_day(session: Session, day: date) -> dict[str, dict[Counted, int]]:
    """What each key has used on this day, by key id."""
    rows = session.scalars(select(KeyUsageRow).where(KeyUsageRow.day == day))
    return {row.key_id: {"requests": row.requests, "questions": row.questions} for row in rows}


def _take(session: Session, key_id: str, what: Counted, day: date, count: int, limit: int) -> int:
    column = KeyUsageRow.requests if what == "requests" else KeyUsageRow.questions
    here = (KeyUsageRow.key_id == key_id, KeyUsageRow.day == day)
    for size in (count, 1):
        statement = update(KeyUsageRow).where(*here, column + size <= limit).values({column: column + size})
        if session.connection().execute(statement).rowcount:
            return size
    return 0


def _begin_day(session: Session, key_id: str, day: date) -> None:
    """Create the key's row for the day, unless another process has done it first."""
    try:
        with session.begin_nested():
            session.execute(insert(KeyUsageRow).values(key_id=key_id, day=day, requests=0, questions=0))
    except IntegrityError:
        return
    session.execute(delete(KeyUsageRow).where(KeyUsageRow.key_id == key_id, KeyUsageRow.day < day - timedelta(days=_KEPT_DAYS)))
