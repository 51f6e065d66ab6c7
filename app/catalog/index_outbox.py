"""The index outbox: keeps several search indexes up to date at once, during a release with an index of its
own and while one is rebuilt or restored.

Each worker writes its own index. The transaction that finishes a document also adds it to the outbox of every other registered
index: the document is "owed" to that index. That index's consumer then indexes the document from the catalog with the index's own
model. With one index, the usual case, the outbox stays empty.

Every function that registers an index, adds entries or drops an index raises the index generation first. The lock on that row
puts these transactions in one order on PostgreSQL, so that a document that is finished while an index is registered is either
added to its outbox or included in its seeding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.catalog import index_state
from app.catalog.tables import DocumentRow, OutboxRow, SearchIndexRow, new_id, now, oldest_id

AWAITED_SECONDS: Final = 300.0  # the freshness objective (infra/observability/slos.py); a consumer usually needs a second


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A document in the outbox. `stamp` changes each time it is added again; `attempts`: how
    often taking it over has failed so far."""

    document_id: str
    stamp: str
    attempts: int


@dataclass(frozen=True, slots=True)
class RegisteredIndex:
    """An index that is kept up to date; the fields are those of `SearchIndexRow`."""

    name: str
    serving: bool
    seeded: bool


def register_index(session: Session, name: str, *, serving: bool, seeded: bool = False) -> RegisteredIndex:
    """Keep this index up to date from now on. For an index that is already registered, `serving` can only be switched on, never
    off. `seeded`: the index is filled by other means than the outbox."""
    index_state.raise_generation(session)
    row = session.get(SearchIndexRow, name)
    if row is None:
        # A serving index was fed by its worker from the beginning, so it needs no seeding.
        row = SearchIndexRow(name=name, serving=serving, seeded=serving or seeded, created_at=now())
        session.add(row)
    elif serving:
        row.serving = True
    session.flush()
    return RegisteredIndex(row.name, row.serving, row.seeded)


def registered_indexes(session: Session) -> tuple[RegisteredIndex, ...]:
    """Every registered index, oldest first."""
    rows = session.scalars(select(SearchIndexRow).order_by(SearchIndexRow.created_at, SearchIndexRow.name)).all()
    return tuple(RegisteredIndex(row.name, row.serving, row.seeded) for row in rows)


def unregister_index(session: Session, name: str) -> None:
    """Stop keeping this index up to date, and delete its outbox entries."""
    index_state.raise_generation(session)
    session.execute(delete(SearchIndexRow).where(SearchIndexRow.name == name))
    session.execute(delete(OutboxRow).where(OutboxRow.index_name == name))


def owe_others(session: Session, name: str, document_ids: Sequence[str]) -> None:
    """Add documents that index `name` has just taken over or removed to the outbox of every other index. The caller has already
    raised the generation in this transaction."""
    others = session.scalars(select(SearchIndexRow.name).where(SearchIndexRow.name != name)).all()
    for other in others:
        add_entries(session, other, document_ids)


def add_entries(session: Session, name: str, document_ids: Iterable[str]) -> None:
    """Add documents to the outbox of one index; an entry that is already there gets a new stamp."""
    wanted = sorted(set(document_ids))
    if not wanted:
        return
    session.execute(delete(OutboxRow).where(OutboxRow.index_name == name, OutboxRow.document_id.in_(wanted)))
    rows = [{"index_name": name, "document_id": one, "stamp": new_id(), "attempts": 0} for one in wanted]
    session.execute(insert(OutboxRow), rows)


def add_all_indexed(session: Session, name: str, *, after: str | None, limit: int) -> list[str]:
    """Add the next `limit` indexed documents, in order of id, to the outbox of one index, which is marked as seeded after the
    last one. Returns their ids. Documents in work are added when they are finished."""
    query = select(DocumentRow.id).where(DocumentRow.deleted_at.is_(None), DocumentRow.status == "indexed")
    if after is not None:
        query = query.where(DocumentRow.id > after)
    ids = list(session.scalars(query.order_by(DocumentRow.id).limit(limit)))
    index_state.raise_generation(session)
    add_entries(session, name, ids)
    if len(ids) < limit:
        session.execute(update(SearchIndexRow).where(SearchIndexRow.name == name).values(seeded=True))
    return ids


def next_entries(session: Session, name: str, *, limit: int, attempts: int) -> list[OutboxEntry]:
    """The next entries to take over: those that never failed first, oldest first. An entry
    that failed `attempts` times is left out."""
    query = (
        select(OutboxRow)
        .where(OutboxRow.index_name == name, OutboxRow.attempts < attempts)
        .order_by(OutboxRow.attempts, OutboxRow.stamp)
        .limit(limit)
    )
    return [OutboxEntry(row.document_id, row.stamp, row.attempts) for row in session.scalars(query)]


def remove_entries(session: Session, name: str, dues: Sequence[OutboxEntry]) -> None:
    """Remove entries that were taken over; an entry that was added again since it was read (another stamp) stays."""
    for due in dues:
        session.execute(delete(OutboxRow).where(*_same(name, due)))


def defer(session: Session, name: str, due: OutboxEntry, error: str | None = None) -> None:
    """Move an entry to the end of the outbox; with `error` it counts as failed once more."""
    values = {"stamp": new_id()} if error is None else {"stamp": new_id(), "attempts": due.attempts + 1, "error": error[:2000]}
    session.execute(update(OutboxRow).where(*_same(name, due)).values(values))


def entries_among(session: Session, name: str, document_ids: Sequence[str]) -> set[str]:
    """The ones of these documents that are in the index's outbox."""
    query = select(OutboxRow.document_id).where(OutboxRow.index_name == name, OutboxRow.document_id.in_(document_ids))
    return set(session.scalars(query)) if document_ids else set()


def entries_left(session: Session, name: str) -> int:
    """How many documents are in the index's outbox."""
    return session.scalar(select(func.count()).where(OutboxRow.index_name == name)) or 0


def failed_entries(session: Session, name: str, attempts: int) -> list[tuple[str, str]]:
    """(document id, reason) of each entry that failed `attempts` times, so that it is not tried again."""
    query = select(OutboxRow.document_id, OutboxRow.error).where(OutboxRow.index_name == name, OutboxRow.attempts >= attempts)
    return [(document_id, error or "") for document_id, error in session.execute(query)]


def waiting_for_serving_index(session: Session, document_ids: Sequence[str]) -> set[str]:
    """The ones of these documents that a serving index has still to take over, so that some users would not find them. An entry
    older than AWAITED_SECONDS is ignored: the index has no running consumer then, for which there is an alert."""
    oldest = oldest_id(now() - timedelta(seconds=AWAITED_SECONDS))
    query = (
        select(OutboxRow.document_id)
        .join(SearchIndexRow, SearchIndexRow.name == OutboxRow.index_name)
        .where(
            OutboxRow.document_id.in_(document_ids),
            SearchIndexRow.serving,
            OutboxRow.error.is_(None),
            OutboxRow.stamp >= oldest,
        )
    )
    return set(session.scalars(query)) if document_ids else set()


def hand_over(session: Session, source: str, target: str) -> None:
    """Give the outbox entries of index `source` to `target`, and unregister `source`, which was put in the place of `target`."""
    index_state.raise_generation(session)
    ids = list(session.scalars(select(OutboxRow.document_id).where(OutboxRow.index_name == source)))
    add_entries(session, target, ids)
    unregister_index(session, source)


def _same(name: str, due: OutboxEntry) -> tuple[ColumnElement[bool], ...]:
    return (OutboxRow.index_name == name, OutboxRow.document_id == due.document_id, OutboxRow.stamp == due.stamp)
