"""Search engines behind one port: Elasticsearch, and SQLite inside the process."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from app.search.port import SearchReader, SearchWriter
from app.settings import Settings

DEFAULT_INDEX: Final = "teal"


def embedded_path(settings: Settings) -> Path:
    """The embedded index's file: `search.db`, or `search-NAME.db` for another TEAL_INDEX, so that a release can build its own beside it."""
    name = "search.db" if settings.index == DEFAULT_INDEX else f"search-{settings.index}.db"
    return settings.state_dir.resolve() / name


def open_reader(settings: Settings) -> SearchReader:
    """The configured engine for reading. Connects at the first request, not here."""
    from app.models.embed import stamp

    if settings.search == "embedded":
        from app.search.embedded import EmbeddedReader

        return EmbeddedReader(embedded_path(settings), settings.index, stamp(settings))
    from app.search.elasticsearch import ElasticsearchReader

    return ElasticsearchReader(settings, stamp(settings))


def open_writer(settings: Settings) -> SearchWriter:
    """The configured engine for writing: for the worker and `app.admin` only. Call `ensure` before anything else."""
    if settings.search == "embedded":
        from app.search.embedded import EmbeddedWriter

        return EmbeddedWriter(embedded_path(settings))
    from app.search.elasticsearch_writer import ElasticsearchWriter

    return ElasticsearchWriter(settings)
