"""The index outbox: keeps several search indexes up to date at once, during a release with an index of its own and while one is rebuilt or restored.

Each worker writes its own index. The transaction that finishes a document also writes it into the outbox of every other registered index (the
document is "owed" to it), and that index's consumer indexes it from the catalog with its own model. With one index, the usual case, nothing is owed.

Every function that registers, owes or drops raises the index generation first: that row's lock puts them in one order on PostgreSQL, so that
a document finished while an index is registered is either owed to it or seen by its seeding.
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

AWAITED_SECONDS: Final = 300.0  # the promise of freshness (infra/observability/slos.py); a consumer takes over in a second


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A document that is owed. `stamp` tells whether it was owed again meanwhile; `attempts` failed so far."""

    document_id: str
    stamp: str
    attempts: int


@dataclass(frozen=True, slots=True)
class RegisteredIndex:
    """An index that is kept up to date, as `SearchIndexRow` says."""

    name: str
    serving: bool
    seeded: bool


def register_index(session: Session, name: str, *, serving: bool, seeded: bool = False) -> RegisteredIndex:
    """Keep this index up from now on; one that is known already only begins to serve, never stops to. `seeded`: it is filled by other means."""
    index_state.raise_generation(session)
    row = session.get(SearchIndexRow, name)
    if row is None:
        # one that serves was fed from its beginning
        row = SearchIndexRow(name=name, serving=serving, seeded=serving or seeded, created_at=now())
        session.add(row)
    elif serving:
        row.serving = True
    session.flush()
    return RegisteredIndex(row.name, row.serving, row.seeded)


def registered_indexes(session: Session) -> tuple[RegisteredIndex, ...]:
    """Every index that is kept up, oldest first."""
    rows = session.scalars(select(SearchIndexRow).order_by(SearchIndexRow.created_at, SearchIndexRow.name)).all()
    return tuple(RegisteredIndex(row.name, row.serving, row.seeded) for row in rows)


def unregister_index(session: Session, name: str) -> None:
    """Keep this index up no longer, and forget what it is owed."""
    index_state.raise_generation(session)
    session.execute(delete(SearchIndexRow).where(SearchIndexRow.name == name))
    session.execute(delete(OutboxRow).where(OutboxRow.index_name == name))


def owe_others(session: Session, name: str, document_ids: Sequence[str]) -> None:
    """Owe documents that `name` has just taken over, or removed, to every other index. The generation was raised in this transaction."""
    others = session.scalars(select(SearchIndexRow.name).where(SearchIndexRow.name != name)).all()
    for other in others:
        add_entries(session, other, document_ids)


def add_entries(session: Session, name: str, document_ids: Iterable[str]) -> None:
    """Owe documents to one index; what was owed already is owed anew."""
    wanted = sorted(set(document_ids))
    if not wanted:
        return
    session.execute(delete(OutboxRow).where(OutboxRow.index_name == name, OutboxRow.document_id.in_(wanted)))
    rows = [{"index_name": name, "document_id": one, "stamp": new_id(), "attempts": 0} for one in wanted]
    session.execute(insert(OutboxRow), rows)


def add_all_indexed(session: Session, name: str, *, after: str | None, limit: int) -> list[str]:
    """Owe the next `limit` indexed documents in order of id; at the end of them the index is marked seeded. Returns their ids.
    Those still in work are owed when they are finished."""
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
    """The next documents to take over: those that never failed first, oldest first; one that failed `attempts` times is left."""
    query = (
        select(OutboxRow)
        .where(OutboxRow.index_name == name, OutboxRow.attempts < attempts)
        .order_by(OutboxRow.attempts, OutboxRow.stamp)
        .limit(limit)
    )
    return [OutboxEntry(row.document_id, row.stamp, row.attempts) for row in session.scalars(query)]


def remove_entries(session: Session, name: str, dues: Sequence[OutboxEntry]) -> None:
    """These are taken over; one that was owed again meanwhile stays."""
    for due in dues:
        session.execute(delete(OutboxRow).where(*_same(name, due)))


def defer(session: Session, name: str, due: OutboxEntry, error: str | None = None) -> None:
    """Put one at the end; with `error` it counts as failed once more."""
    values = {"stamp": new_id()} if error is None else {"stamp": new_id(), "attempts": due.attempts + 1, "error": error[:2000]}
    session.execute(update(OutboxRow).where(*_same(name, due)).values(values))


def entries_among(session: Session, name: str, document_ids: Sequence[str]) -> set[str]:
    """Those of these documents that the index is owed."""
    query = select(OutboxRow.document_id).where(OutboxRow.index_name == name, OutboxRow.document_id.in_(document_ids))
    return set(session.scalars(query)) if document_ids else set()


def entries_left(session: Session, name: str) -> int:
    """How many documents the index is owed."""
    return session.scalar(select(func.count()).where(OutboxRow.index_name == name)) or 0


def failed_entries(session: Session, name: str, attempts: int) -> list[tuple[str, str]]:
    """(document id, reason) of those that failed too often to be tried again."""
    query = select(OutboxRow.document_id, OutboxRow.error).where(OutboxRow.index_name == name, OutboxRow.attempts >= attempts)
    return [(document_id, error or "") for document_id, error in session.execute(query)]


def waiting_for_serving_index(session: Session, document_ids: Sequence[str]) -> set[str]:
    """Those of these documents that an index in service has yet to take over: some users would not find them. One that was owed
    AWAITED_SECONDS ago is not waited for any more: no consumer runs for that index, which has an alert of its own."""
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
    """What `source` is owed is owed to `target`, and `source` is no longer kept up: it was put in the place of `target`."""
    index_state.raise_generation(session)
    ids = list(session.scalars(select(OutboxRow.document_id).where(OutboxRow.index_name == source)))
    add_entries(session, target, ids)
    unregister_index(session, source)


def _same(name: str, due: OutboxEntry) -> tuple[ColumnElement[bool], ...]:
    return (OutboxRow.index_name == name, OutboxRow.document_id == due.document_id, OutboxRow.stamp == due.stamp)
