"""Compares a search index with the catalog, which is authoritative: every document that differs is added to the index's outbox.

A document that the catalog called indexed at an index's last write is completely in the index, because passages become
visible before the catalog marks their document. A document that was indexed after the copying of an index began may be in
the copy in part, so it is always added.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.catalog import index_outbox, index_state, ingestion_queries
from app.catalog.engine import Catalog
from app.search.port import SearchWriter

PAGE: Final = 500  # documents compared at once: one aggregation of the engine, one short transaction


@dataclass(frozen=True, slots=True)
class IndexComparison:
    """The result of a comparison. `documents`: indexed documents in the catalog. `missing`: how many of them have no passages
    here, or changed since. `extra`: documents with passages here that are deleted, failed or unknown to the catalog. Documents
    that were already in the outbox are in neither count."""

    documents: int
    missing: int
    extra: int


def reconcile(catalog: Catalog, writer: SearchWriter, index: str, *, changed_since: datetime | None = None) -> IndexComparison:
    """Compare, and add every document that differs to the index's outbox. Documents in work are
    skipped: they are added when finished."""
    documents = missing = extra = 0
    after: str | None = None
    while True:
        with catalog.read() as session:
            page = ingestion_queries.indexed_page(session, after=after, limit=PAGE)
        has = writer.tally([one.document_id for one in page])
        stale = [
            one.document_id
            for one in page
            if one.document_id not in has or (changed_since is not None and one.updated_at >= changed_since)
        ]
        documents, missing = documents + len(page), missing + _owe(catalog, index, stale)
        if len(page) < PAGE:
            break
        after = page[-1].document_id
    after = None
    while True:
        ids = writer.document_ids(after=after, limit=PAGE)
        with catalog.read() as session:
            stray = sorted(set(ids) - ingestion_queries.may_have_passages(session, ids))
        extra += _owe(catalog, index, stray)
        if len(ids) < PAGE:
            return IndexComparison(documents, missing, extra)
        after = ids[-1]


def _owe(catalog: Catalog, index: str, document_ids: list[str]) -> int:
    """Add the documents that are not in the outbox yet; returns how many."""
    if not document_ids:
        return 0
    with catalog.write() as session:
        index_state.raise_generation(session)
        new = set(document_ids) - index_outbox.entries_among(session, index, document_ids)
        index_outbox.add_entries(session, index, new)
    return len(new)
