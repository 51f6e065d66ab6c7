"""What a catalog holds, wherever it lies."""

from __future__ import annotations

from app.catalog import documents
from app.catalog.engine import Catalog


def count_indexed(url: str) -> int:
    """Documents that the catalog at this URL calls indexed."""
    catalog = Catalog(url)
    try:
        with catalog.read() as session:
            return documents.count_by_status(session)["indexed"]
    finally:
        catalog.close()
