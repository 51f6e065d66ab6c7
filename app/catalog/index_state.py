"""The index generation: how often the visible content of the search index has changed. It is part of every cache key."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.catalog.tables import IndexStateRow

_ONLY = 1


def index_generation(session: Session) -> int:
    """The present generation; 0 before anything was indexed."""
    return session.scalar(select(IndexStateRow.generation).where(IndexStateRow.id == _ONLY)) or 0


def raise_generation(session: Session) -> int:
    """Add one; returns the new generation. Migration 0001 creates the row, so concurrent calls wait for its lock."""
    session.execute(
        update(IndexStateRow).where(IndexStateRow.id == _ONLY).values(generation=IndexStateRow.generation + 1),
        execution_options={"synchronize_session": False},
    )
    return index_generation(session)
