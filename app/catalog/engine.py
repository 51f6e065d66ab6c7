"""Connections to the catalog: SQLite or PostgreSQL behind the same two context managers."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from app.catalog.sqlite_wait import BUSY_MILLISECONDS
from app.catalog.write_queue import WriteQueue
from app.errors import CatalogUnavailable, StorageFull, TealError, Unavailable

SQLITE_STUCK_SECONDS: Final = BUSY_MILLISECONDS / 1000 + 5  # for another process, and for the write itself
POSTGRES_STATEMENT_MILLISECONDS: Final = 3_000  # the service's statements take about 3 ms
POSTGRES_CONNECT_SECONDS: Final = 2  # after the silence timeout of 4 s: a request to a frozen server is answered within 6 s
# TCP keepalive: libpq probes a silent peer; with Linux's defaults that would happen only after two hours. A server that vanished
# without closing the connection (its machine is gone, a firewall forgot the connection) is noticed after 10 + 3 * 3 s, also by a
# connection that only listens or that waits for a long statement.
POSTGRES_KEEPALIVE: Final = {
    "keepalives_idle": 10,  # seconds; a little traffic beside what a worker asks each second
    "keepalives_interval": 3,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 19_000,  # milliseconds, for unacknowledged data: as long as the others together
}
POOL_CONNECTIONS: Final = 5  # per process: 2 apps + 1 worker per color stay far below PostgreSQL's default of 100
POOL_OVERFLOW: Final = 10  # more connections during short bursts of a thread pool
POOL_WAIT_SECONDS: Final = 5
_WAL_PAUSE_SECONDS: Final = 0.05
_WAL_TRIES: Final = round(BUSY_MILLISECONDS / 1000 / _WAL_PAUSE_SECONDS)  # all together last as long as the busy timeout
_DISK_FULL: Final = frozenset({"53100"})
_READ_ONLY: Final = "25006"  # read_only_sql_transaction
# PostgreSQL's error classes: connection gone, overloaded, stopping, locked, serialization failure, read-only.
_POSTGRES_MENDABLE: Final = ("08", "53", "57", "55P03", "40", _READ_ONLY)
_SCHEMA_MISSING: Final = frozenset({"42P01", "42703", "3F000"})


class Catalog:
    """Sessions on the catalog database; thread-safe. Creating one does not connect.

    Raises `CatalogUnavailable` when the database does not answer and `StorageFull` when its disk is full.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        # SQLite does not queue waiting writers: of many threads in one process some would never get the lock before their busy
        # timeout ends.
        self._queue = WriteQueue(SQLITE_STUCK_SECONDS) if self.engine.dialect.name == "sqlite" else None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading. It takes no write lock; on SQLite it sees one snapshot of the database."""
        with _plain_errors(self.engine), self._sessions() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at exit and rolls back on an error."""
        with self._one_writer(), _plain_errors(self.engine), self._sessions() as session, session.begin():
            session.connection(execution_options={"teal_write": True})
            yield session

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        if self._queue is None:
            yield
            return
        try:
            self._queue.take()
        except TimeoutError as error:
            raise CatalogUnavailable(f"The catalog {_place(self.engine)} is busy: {error}. Next: `teal status`.") from None
        moved = True
        try:
            yield
        except Unavailable:
            moved = False
            raise
        finally:
            self._queue.give(moved=moved)


def open_engine(url: str, *, patient: bool = False) -> Engine:
    """An engine with the limits above; for SQLite: WAL, foreign keys, BEGIN IMMEDIATE for writes.

    `patient`: no limit on a PostgreSQL statement, for changes of the schema.
    """
    if make_url(url).get_backend_name() != "sqlite":
        engine = create_engine(
            url,
            pool_pre_ping=True,
            pool_size=POOL_CONNECTIONS,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=POOL_WAIT_SECONDS,
            connect_args={
                "connect_timeout": POSTGRES_CONNECT_SECONDS,
                **POSTGRES_KEEPALIVE,
                "options": f"-c statement_timeout={0 if patient else POSTGRES_STATEMENT_MILLISECONDS}",
            },
        )
        if not patient:
            set_silence_timeout(engine)
        leave_when_read_only(engine)
        return engine
    engine = create_engine(
        url,
        pool_size=POOL_CONNECTIONS,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_WAIT_SECONDS,
        connect_args={"timeout": BUSY_MILLISECONDS / 1000, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def leave_when_read_only(engine: Engine) -> None:
    """Close all connections of a PostgreSQL engine when the server reports that it is read-only. Such a server was the
    primary and is a replica now. It keeps its connections open, and only a new one, for which the host name is
    resolved again, reaches the new primary."""

    def mark(context: Any) -> None:
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            context.is_disconnect = True  # SQLAlchemy then discards the whole pool

    event.listen(engine, "handle_error", mark)


def set_silence_timeout(engine: Engine) -> None:
    """End a PostgreSQL engine's connections when the server is silent: its own statement timeout
    cannot work while it is frozen or cut off."""

    def connect(_dialect: object, _record: object, arguments: Any, named: Any) -> Any:
        from app.catalog.silence_timeout import SilenceTimeoutConnection

        return SilenceTimeoutConnection.connect(*arguments, **named)

    event.listen(engine, "do_connect", connect)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin by itself: `_begin_sqlite` does
    # SQLite's own changes the case of ASCII letters alone, so that a title in German or Russian would not be found.
    connection.create_function("lower", 1, lambda text: text.lower() if isinstance(text, str) else text, deterministic=True)
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    ensure_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")  # a 202 promises the document survives a power cut
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def ensure_wal(cursor: Any) -> None:
    """Put the file in WAL mode. This change ignores the busy timeout, so it is retried: two
    processes may open a new file at once."""
    for _ in range(_WAL_TRIES):
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal" or cursor.execute("PRAGMA journal_mode=WAL"):
                return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(_WAL_PAUSE_SECONDS)
    raise sqlite3.OperationalError("database is locked while WAL mode is being set")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("teal_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _plain_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise CatalogUnavailable(f"The catalog {_place(engine)} has no free connection: {error}. Next: `teal status`.") from error
    except DBAPIError as error:
        mapped = _mapped(error, engine)
        if mapped is None:
            raise
        raise mapped from error


def _mapped(error: DBAPIError, engine: Engine) -> TealError | None:
    state = getattr(error.orig, "sqlstate", None) or ""
    code = getattr(error.orig, "sqlite_errorname", "") or ""
    reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    if state in _DISK_FULL or code == "SQLITE_FULL":
        return StorageFull(f"The catalog {_place(engine)} could not write: {reason}. Next: free disk space, then `teal status`.")
    if state in _SCHEMA_MISSING or "no such table" in reason or "no such column" in reason:
        return CatalogUnavailable(
            f"The catalog {_place(engine)} lacks its schema: {reason}. "
            "Next: `teal restore` if it was lost; a new one is made by `python -m app.admin migrate`."
        )
    if (
        isinstance(error, OperationalError | InterfaceError)
        or state.startswith(_POSTGRES_MENDABLE)
        or error.connection_invalidated
    ):
        return CatalogUnavailable(f"The catalog {_place(engine)} does not answer: {reason}. Next: `teal status`.")
    return None


def _place(engine: Engine) -> str:
    url = engine.url
    return (
        f"at {url.database}"
        if url.get_backend_name() == "sqlite"
        else f"at {url.host or 'its socket'}:{url.port or 5432}/{url.database}"
    )


def migrate(url: str, *, to: str = "head", back: bool = False) -> str:
    """Bring the schema to a revision and return the revision it is then at; on SQLite the database file's folder is created.
    `back`: `to` is an older revision, which is reached by downgrades."""
    from alembic import command

    database = make_url(url)
    if database.get_backend_name() == "sqlite" and database.database:
        Path(database.database).parent.mkdir(parents=True, exist_ok=True)
    engine = open_engine(url, patient=True)
    try:
        with _plain_errors(engine), engine.connect() as connection:
            config = alembic_config(connection)
            (command.downgrade if back else command.upgrade)(config, to)
    finally:
        engine.dispose()
    return head_revision() if to == "head" else to


def schema_revision(url: str) -> str | None:
    """The revision the database is at; None when it was never migrated."""
    from alembic.runtime.migration import MigrationContext

    engine = open_engine(url)
    try:
        with _plain_errors(engine), engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def head_revision() -> str:
    """The newest revision this code knows."""
    from alembic.script import ScriptDirectory

    head = ScriptDirectory.from_config(alembic_config(None)).get_current_head()
    if head is None:
        raise RuntimeError("app/catalog/migrations/versions holds no revision")
    return head


def alembic_config(connection: Connection | None) -> Any:
    """Alembic's configuration for `app/catalog/migrations`, on this connection."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
