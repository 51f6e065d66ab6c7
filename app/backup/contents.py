"""Counts the content of a catalog at any URL."""

from __future__ import annotations

from app.catalog import documents
from app.catalog.engine import Catalog


def count_indexed(url: str) -> int:
    """The number of indexed documents in the catalog at this URL."""
    catalog = Catalog(url)
    try:
        with catalog.read() as session:
            return documents.count_by_status(session)["indexed"]
    finally:
        catalog.close()
