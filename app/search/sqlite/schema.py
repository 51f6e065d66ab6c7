"""The embedded index's file: its tables, its pragmas and its errors, shared by the reader and the writer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, cast

import apsw
import numpy as np
import sqlite_vec

from app.catalog.sqlite_wait import BUSY_MILLISECONDS
from app.errors import PassageRefused, SearchUnavailable, StorageFull
from app.models.port import Stamp, Vector
from app.search.port import Filters
from app.settings import Settings

DEFAULT_INDEX: Final = "teal"

SCHEMA: Final = """
CREATE TABLE stamp (only INTEGER PRIMARY KEY CHECK (only = 1), model TEXT NOT NULL, digest TEXT NOT NULL, dimensions INTEGER NOT NULL);
CREATE TABLE passage (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, document_id TEXT NOT NULL, ordinal INTEGER NOT NULL, title TEXT NOT NULL,
  text TEXT NOT NULL, collection TEXT NOT NULL, source TEXT, metadata TEXT NOT NULL, embedded INTEGER NOT NULL);
CREATE INDEX passage_document ON passage (document_id, ordinal);
CREATE INDEX passage_collection ON passage (collection);
CREATE INDEX passage_embedded ON passage (embedded);
CREATE VIRTUAL TABLE words USING fts5(title, text, content='', contentless_delete=1, tokenize="unicode61 remove_diacritics 0 categories 'L* N* Co M* P* S*'");
"""
# One byte a number: a quarter of the size, the same speed, 0.001 nDCG@10 less (docs/decisions/0001-embedding-model.md).
VECTORS: Final = "CREATE VIRTUAL TABLE vectors USING vec0(vector int8[{dimensions}] distance_metric=cosine)"


def embedded_path(settings: Settings) -> Path:
    """The path of the index: `search.db`, or `search-NAME.db` for another TEAL_INDEX, so that
    a release can build its own beside it."""
    name = "search.db" if settings.index == DEFAULT_INDEX else f"search-{settings.index}.db"
    return settings.state_dir.resolve() / name


def open_index_file(path: Path, *, write: bool) -> apsw.Connection:
    """A connection to the index file. Without `write` it is read-only, and a missing file raises `SearchUnavailable`."""
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if write else 0)
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.enable_load_extension(False)
    if write:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last commits; the catalog restores them
    else:
        connection.execute("PRAGMA query_only = 1")
    return connection


def index_files(path: Path) -> tuple[Path, ...]:
    """The index file and what SQLite keeps beside it."""
    return (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm"))


@contextmanager
def map_sqlite_errors(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into the service's own."""
    try:
        yield
    except apsw.FullError as error:
        raise StorageFull(f"The disk of {path} is full.") from error
    except apsw.CantOpenError as error:
        raise SearchUnavailable(
            f"There is no search index at {path} yet: a worker makes it when it starts (`teal status`)."
        ) from error
    except apsw.Error as error:
        raise SearchUnavailable(f"The search index {path} cannot be used: {error}. See `teal logs worker`.") from error


@contextmanager
def map_refused_passage(passage_id: str) -> Iterator[None]:
    """A context that turns errors caused by one passage, while the file is intact, into `PassageRefused`;
    to be used inside `map_sqlite_errors`."""
    try:
        yield
    except (apsw.ConstraintError, apsw.TooBigError, apsw.MismatchError) as error:
        raise PassageRefused(f"The search index cannot take the passage {passage_id}: {error}.") from error


def analysed(connection: apsw.Connection) -> bool:
    """Whether the table `words` contains terms of app/text/analysis.py. An older index contains
    titles and texts and stems by itself."""
    rows = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'words'").fetchall()
    return "content='passage'" not in str(rows)


def read_stamp(connection: apsw.Connection) -> Stamp | None:
    """The stamp; None when the file is new."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'stamp'").fetchall():
        return None
    model, digest, dimensions = cast(
        "tuple[str, str, int]", connection.execute("SELECT model, digest, dimensions FROM stamp").fetchall()[0]
    )
    return Stamp(model, digest, dimensions)


def is_made(path: Path) -> bool:
    """Whether the file is an index: it exists, and its tables were created."""
    if not path.is_file():
        return False
    with map_sqlite_errors(path), closing(open_index_file(path, write=False)) as connection:
        return read_stamp(connection) is not None


def quantized(vector: Vector) -> bytes:
    """The vector with one signed byte for each number, scaled to its largest number; cosine does not depend on the scale."""
    largest = float(np.abs(vector).max()) or 1.0
    return np.round(np.asarray(vector, dtype=np.float32) / largest * 127).astype(np.int8).tobytes()


def filter_conditions(filters: Filters) -> tuple[list[str], list[Any]]:
    """SQL conditions on `passage p` and their parameters; sets travel as JSON, so their size is not limited."""
    conditions, parameters = list[str](), list[Any]()
    for column, values in (
        ("collection", filters.collections),
        ("document_id", filters.document_ids),
        ("source", filters.sources),
    ):
        if values is not None:
            conditions.append(f"p.{column} IN (SELECT value FROM json_each(?))")  # noqa: S608 - column names are ours
            parameters.append(json.dumps(values))
    for key, value in filters.metadata:
        conditions.append("EXISTS (SELECT 1 FROM json_each(p.metadata) AS m WHERE m.key = ? AND m.value = ?)")
        parameters += (key, value)
    return conditions, parameters
