"""Releases of before: the immutable plan of each and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from teal.errors import NeedsHuman
from teal.record import Record, Store
from teal.release.ledger import Superseded, require_underway
from teal.release.plan import Document, Outcome
from teal.release.target import Target


@dataclass(frozen=True, slots=True)
class Entry:
    """One release. `outcome` None: it is under way, or its end could not be written. `document` None: its plan is gone."""

    id: str
    document: Document | None
    outcome: Outcome | None
    underway: bool


def document_key(id: str) -> str:
    return f"releases/{id}.json"


def outcome_key(id: str) -> str:
    return f"releases/{id}.outcome.json"


def entries(store: Store) -> tuple[Record, tuple[Entry, ...]]:
    """The record, and the releases it names, newest first; two reads of the store each."""
    record, _ = store.read()
    found = []
    for id in record.history:
        document, outcome = store.fetch(document_key(id)), store.fetch(outcome_key(id))
        found.append(
            Entry(
                id,
                Document.model_validate_json(document) if document else None,
                Outcome.model_validate_json(outcome) if outcome else None,
                record.release is not None and record.release.id == id,
            )
        )
    return record, tuple(found)


def read_document(target: Target, record: Record) -> Document:
    """The plan of the release under way. Raises NeedsHuman when it is gone."""
    id = require_underway(record)
    body = target.store.fetch(document_key(id))
    if body is None:
        raise NeedsHuman(f"The plan of {id} is gone", where=document_key(id), next="teal repair")
    return Document.model_validate_json(body)


def require_same(record: Record, document: Document) -> None:
    """Raises Superseded when another release, or none, is under way now."""
    if record.release is None or record.release.id != document.id:
        raise Superseded(record)
