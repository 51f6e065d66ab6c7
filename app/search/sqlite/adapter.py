"""The embedded engine that `app/providers.py` registers: one SQLite file that the worker writes and the app processes read."""

from __future__ import annotations

from typing import Final

from app.catalog import sqlite_copy
from app.errors import InvalidRequest
from app.models.port import Stamp
from app.search.port import SearchEngine, kept_name
from app.search.sqlite.engine import EmbeddedReader, EmbeddedWriter
from app.search.sqlite.schema import embedded_path, index_files, is_made
from app.settings import Settings


def open_reader(settings: Settings, stamp: Stamp) -> EmbeddedReader:
    return EmbeddedReader(embedded_path(settings), settings.index, stamp)


def open_writer(settings: Settings) -> EmbeddedWriter:
    return EmbeddedWriter(embedded_path(settings))


def swap(settings: Settings, other: Settings) -> bool:
    """Copy the file in use to the kept one, then replace its content by the other's in one
    transaction, as `SearchEngine` specifies."""
    place, wanted = embedded_path(settings), embedded_path(other)
    if not is_made(wanted):  # an interrupted command may have left an empty file
        raise InvalidRequest(
            f"There is no index {other.index} ({wanted}). Next: `python -m app.admin index build --name {other.index}`."
        )
    if there := place.is_file():
        kept = place.with_name(f"search-{kept_name(settings)}.db")
        part = kept.with_suffix(".part")
        sqlite_copy.copy(place, part, "apsw")
        part.replace(kept)
    sqlite_copy.put_in_place(wanted, place, "apsw")
    for path in index_files(wanted):
        path.unlink(missing_ok=True)
    return there


ENGINE: Final = SearchEngine(open_reader, open_writer, swap)
