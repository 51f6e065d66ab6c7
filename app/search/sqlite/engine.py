"""The embedded search engine: one file with SQLite's FTS5 for words and sqlite-vec for vectors. Only the worker writes it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import apsw

from app.errors import IndexMismatch, SearchUnavailable
from app.models.port import Stamp
from app.search.port import Candidates, IndexStatus, Passage, SearchQuery, check_stamp
from app.search.sqlite.schema import (
    SCHEMA,
    VECTORS,
    analysed,
    filter_conditions,
    index_files,
    map_refused_passage,
    map_sqlite_errors,
    open_index_file,
    quantized,
    read_stamp,
)
from app.text.analysis import index_terms, query_words, storable_text

T = TypeVar("T")
READER_THREADS: Final = 4  # SQLite reads release the interpreter lock; more threads than cores only queue
MOST_NEIGHBOURS: Final = 4096  # sqlite-vec refuses a larger k
COLUMNS: Final = "id, document_id, ordinal, title, text, collection, source, metadata"


class EmbeddedReader:
    """Reads the file with one connection for each thread; a file that was replaced by a restore is opened again."""

    def __init__(self, path: Path, index: str, stamp: Stamp) -> None:
        self._path, self._index, self._stamp = path, index, stamp
        self._pool = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="search")
        self._local = threading.local()

    async def candidates(self, query: SearchQuery) -> Candidates:
        return await self._run(self._candidates, query)

    async def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        return await self._run(self._passages, ids) if ids else {}

    async def status(self) -> IndexStatus:
        return await self._run(self._status)

    async def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        except RuntimeError as error:  # the pool was shut down
            raise SearchUnavailable("The search index was closed: the process is stopping.") from error

    @contextmanager
    def _snapshot(self) -> Iterator[tuple[apsw.Connection, Stamp]]:
        """One consistent view of the file, for both lists."""
        with map_sqlite_errors(self._path):
            connection = self._connection()
            with connection:
                stamp = read_stamp(connection)
                if stamp is None:
                    raise SearchUnavailable(
                        f"There is no search index at {self._path} yet: a worker makes it when it starts (`teal status`)."
                    )
                yield connection, stamp

    def _connection(self) -> apsw.Connection:
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            inode = None
        if inode is None or getattr(self._local, "inode", None) != inode:
            self._local.connection = open_index_file(self._path, write=False)
            self._local.inode = inode
        connection: apsw.Connection = self._local.connection
        return connection

    def _candidates(self, query: SearchQuery) -> Candidates:
        words = query_words(query.text) if query.text is not None else []
        with self._snapshot() as (connection, stamp):
            check_stamp(stamp, self._stamp, f"The search index {self._path}")
            lexical = self._lexical(connection, query, words) if words else []
            semantic = self._semantic(connection, query, stamp) if query.vector is not None and stamp.dimensions else []
        return Candidates(dict(lexical), dict(semantic))

    def _passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        with self._snapshot() as (connection, _):
            sql = f"SELECT {COLUMNS} FROM passage WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608 - column names are ours
            rows = connection.execute(sql, (json.dumps(ids),)).fetchall()
        return {row[0]: _passage(*row) for row in cast("list[tuple[Any, ...]]", rows)}

    def _lexical(
        self, connection: apsw.Connection, query: SearchQuery, words: Sequence[tuple[str, str]]
    ) -> list[tuple[str, float]]:
        conditions, parameters = filter_conditions(query.filters)
        # Terms contain no quotation mark and are quoted, so that no text of a user is parsed as FTS5 syntax.
        ours = analysed(connection)
        match = " OR ".join(f'"{term if ours else word}"' for word, term in words)
        sql = f"SELECT p.id, -bm25(words) AS score FROM words JOIN passage AS p ON p.number = words.rowid WHERE {' AND '.join(['words MATCH ?', *conditions])} ORDER BY score DESC, p.id LIMIT ?"  # noqa: S608
        return cast("list[tuple[str, float]]", connection.execute(sql, (match, *parameters, query.limit)).fetchall())

    def _semantic(self, connection: apsw.Connection, query: SearchQuery, stamp: Stamp) -> list[tuple[str, float]]:
        assert query.vector is not None  # noqa: S101
        if query.vector.size != stamp.dimensions:
            raise IndexMismatch(f"The query's vector has {query.vector.size} dimensions, the index {stamp.dimensions}.")
        conditions, parameters = filter_conditions(query.filters)
        within = f"AND rowid IN (SELECT p.number FROM passage AS p WHERE {' AND '.join(conditions)})" if conditions else ""  # noqa: S608
        sql = f"SELECT p.id, 1 - v.distance FROM (SELECT rowid, distance FROM vectors WHERE vector MATCH vec_int8(?) AND k = ? {within}) AS v JOIN passage AS p ON p.number = v.rowid ORDER BY v.distance, p.id"  # noqa: S608
        given = (quantized(query.vector), min(query.limit, MOST_NEIGHBOURS), *parameters)
        return cast("list[tuple[str, float]]", connection.execute(sql, given).fetchall())

    def _status(self) -> IndexStatus:
        with self._snapshot() as (connection, stamp):
            counts = connection.execute("SELECT count(*), coalesce(sum(embedded), 0) FROM passage").fetchall()[0]
        passages, vectors = cast("tuple[int, int]", counts)
        return IndexStatus(self._index, passages, vectors, stamp)


class EmbeddedWriter:
    """Writes the file, one thread at a time. Every put is one transaction, visible to readers at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with map_sqlite_errors(path):
            self._connection = open_index_file(path, write=True)

    def ensure(self, stamp: Stamp) -> str:
        with self._transaction() as connection:
            found = read_stamp(connection)
            if found is None:
                connection.execute(SCHEMA)
                connection.execute("INSERT INTO stamp VALUES (1, ?, ?, ?)", (stamp.model, stamp.digest, stamp.dimensions))
                if stamp.dimensions:
                    connection.execute(VECTORS.format(dimensions=int(stamp.dimensions)))
            else:
                check_stamp(found, stamp, f"The search index {self._path}")
        return self._path.name

    def put(self, passages: Sequence[Passage]) -> None:
        with self._transaction() as connection:
            stamp = self._made(connection)
            for passage in passages:
                if passage.vector is not None and passage.vector.size != stamp.dimensions:
                    raise IndexMismatch(
                        f"Passage {passage.id} has {passage.vector.size} dimensions, the index {stamp.dimensions}."
                    )
                with map_refused_passage(passage.id):
                    self._remove(connection, "id = ?", (passage.id,))
                    _insert(connection, passage)

    def delete_document(self, document_id: str, *, keep_below: int = 0) -> int:
        with self._transaction() as connection:
            self._made(connection)
            return self._remove(connection, "document_id = ? AND ordinal >= ?", (document_id, keep_below))

    def refresh(self) -> None:
        """Move commits from the journal into the main file, so that the journal stays short; readers already see them."""
        with self._lock, map_sqlite_errors(self._path):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def count(self, document_id: str | None = None) -> int:
        with self._lock, map_sqlite_errors(self._path):
            self._made(self._connection)
            condition, parameters = ("WHERE document_id = ?", (document_id,)) if document_id is not None else ("", ())
            return cast("int", self._connection.execute(f"SELECT count(*) FROM passage {condition}", parameters).fetchall()[0][0])  # noqa: S608

    def document_ids(self, *, after: str | None, limit: int) -> list[str]:
        sql = "SELECT DISTINCT document_id FROM passage WHERE document_id > ? ORDER BY document_id LIMIT ?"
        return [str(row[0]) for row in self._rows(sql, (after or "", limit))]

    def tally(self, document_ids: Sequence[str]) -> dict[str, int]:
        sql = (
            "SELECT document_id, count(*) FROM passage WHERE document_id IN (SELECT value FROM json_each(?)) GROUP BY document_id"
        )
        return dict(cast("list[tuple[str, int]]", self._rows(sql, (json.dumps(list(document_ids)),))))

    def drop(self) -> bool:
        with self._lock, map_sqlite_errors(self._path):
            there = read_stamp(self._connection) is not None
            self._connection.close()
            for path in index_files(self._path):
                path.unlink(missing_ok=True)
        return there

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _rows(self, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock, map_sqlite_errors(self._path):
            self._made(self._connection)
            return cast("list[tuple[Any, ...]]", self._connection.execute(sql, parameters).fetchall())

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        with self._lock, map_sqlite_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _made(self, connection: apsw.Connection) -> Stamp:
        stamp = read_stamp(connection)
        if stamp is None:
            raise SearchUnavailable(f"There is no search index at {self._path} yet: `ensure` comes first.")
        return stamp

    def _remove(self, connection: apsw.Connection, condition: str, parameters: tuple[Any, ...]) -> int:
        rows = connection.execute(f"SELECT number, title, text, embedded FROM passage WHERE {condition}", parameters).fetchall()  # noqa: S608
        ours = analysed(connection)
        for number, title, text, embedded in rows:
            if ours:
                connection.execute("DELETE FROM words WHERE rowid = ?", (number,))
            else:
                connection.execute(
                    "INSERT INTO words(words, rowid, title, text) VALUES ('delete', ?, ?, ?)", (number, title, text)
                )
            if embedded:
                connection.execute("DELETE FROM vectors WHERE rowid = ?", (number,))
            connection.execute("DELETE FROM passage WHERE number = ?", (number,))
        return len(rows)


def _insert(connection: apsw.Connection, passage: Passage) -> None:
    title, text = storable_text(passage.title), storable_text(passage.text)
    metadata = json.dumps({storable_text(key): storable_text(value) for key, value in passage.metadata.items()})
    number = connection.execute(
        "INSERT INTO passage (id, document_id, ordinal, title, text, collection, source, metadata, embedded) VALUES (?,?,?,?,?,?,?,?,?) RETURNING number",
        (
            passage.id,
            passage.document_id,
            passage.ordinal,
            title,
            text,
            passage.collection,
            passage.source,
            metadata,
            int(passage.vector is not None),
        ),
    ).fetchall()[0][0]
    found_by = (" ".join(index_terms(title)), " ".join(index_terms(text))) if analysed(connection) else (title, text)
    connection.execute("INSERT INTO words (rowid, title, text) VALUES (?, ?, ?)", (number, *found_by))
    if passage.vector is not None:
        connection.execute("INSERT INTO vectors (rowid, vector) VALUES (?, vec_int8(?))", (number, quantized(passage.vector)))


def _passage(
    passage_id: str, document_id: str, ordinal: int, title: str, text: str, collection: str, source: str | None, metadata: str
) -> Passage:
    return Passage(passage_id, document_id, ordinal, title, text, collection, source, json.loads(metadata))
