"""Dumps and restores a catalog on PostgreSQL with PostgreSQL's own programs, and exchanges a
restored database with the one in use."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from app.errors import BackupFailed, SnapshotRefused

DUMP_SECONDS: Final = 3_600  # enough for a catalog of tens of gigabytes; a program that runs longer hangs
EXCHANGE_SECONDS: Final = 30  # to end the connections of the database in use; the renaming itself is two rows
TERMINATE_PAUSE_SECONDS: Final = 0.2
_MISSING: Final = "apt-get install postgresql-client, of the server's version or newer"


def dump_database(url: str, target: Path, count: str) -> int:
    """Dump the database as it is at one moment, the tables of jobs included, in PostgreSQL's custom format. Returns the result of
    the statement `count` at the same moment."""
    target.touch(mode=0o600)
    with _connected(make_url(url)) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        moment = connection.execute("SELECT pg_export_snapshot()").fetchone()
        counted = connection.execute(sql.SQL(count)).fetchone()
        if moment is None or counted is None:
            raise BackupFailed("PostgreSQL did not say which moment it shows.")
        _run("pg_dump", url, f"--snapshot={moment[0]}", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")
        return int(counted[0])


def restore(url: str, source: Path, name: str) -> str:
    """Restore a dump into a new database `name` on the same server; returns its URL. A database of that
    name from an earlier try is replaced."""
    drop_database(url, name)
    with _maintenance(url) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    beside = make_url(url).set(database=name)
    try:
        _run("pg_restore", _text(beside), "--no-owner", "--no-privileges", "--exit-on-error", str(source))
    except BackupFailed as error:
        drop_database(url, name)
        raise SnapshotRefused(f"The copy of the catalog can not be restored: {error.detail}") from error
    return beside.render_as_string(hide_password=False)


def drop_database(url: str, name: str) -> None:
    """Remove a database beside the one in use, if it is there."""
    with _maintenance(url) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def put_in_place(url: str, restored: str, kept: str) -> None:
    """Give the restored database the name of the one in use, which is renamed to `kept`; both renames happen or neither. The
    service's open connections end, and it connects again. An earlier `kept` is removed."""
    drop_database(url, kept)
    in_use = str(make_url(url).database)
    over = threading.Event()
    ending = threading.Thread(target=_end_connections, args=(url, (in_use, restored), over), daemon=True)
    try:
        with _maintenance(url) as connection, connection.transaction():
            ending.start()
            for old, new in ((in_use, kept), (restored, in_use)):
                # Waits up to 5 s for the last connections to end, and refuses new ones meanwhile.
                connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
    except psycopg.Error as error:
        raise BackupFailed(
            f"The databases could not change places: {_reason(error)} Nothing was changed. Next: the same command again."
        ) from error
    finally:
        over.set()


def _end_connections(url: str, names: tuple[str, ...], over: threading.Event) -> None:
    with _maintenance(url) as connection:
        while not over.wait(TERMINATE_PAUSE_SECONDS):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()",
                (list(names),),
            )


def _maintenance(url: str) -> AbstractContextManager[psycopg.Connection[Any]]:
    """A connection to the server's maintenance database, so that none is open to the databases that are renamed or dropped."""
    return _connected(make_url(url).set(database="postgres"))


@contextmanager
def _connected(place: URL) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(_text(place), autocommit=True, connect_timeout=EXCHANGE_SECONDS) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise BackupFailed(f"PostgreSQL at {place.host or 'its socket'} does not let this be done: {_reason(error)}") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise BackupFailed(
            f"The database user may not create databases: {_reason(error)} Next: ALTER ROLE {place.username} CREATEDB."
        ) from error


def _run(program: str, url: str, *arguments: str) -> None:
    path = shutil.which(program) or next(
        map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), reverse=True)), None
    )
    if path is None:
        raise BackupFailed(f"{program} is not on this machine. Next: {_MISSING}.")
    place = make_url(url)
    # The password is passed in the environment, because every user can read a command line.
    env = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "PGPASSWORD": place.password or ""}
    shown = _text(place.set(password=None))
    try:
        done = subprocess.run((path, f"--dbname={shown}", *arguments), env=env, capture_output=True, text=True,  # noqa: S603
                              timeout=DUMP_SECONDS, check=False)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BackupFailed(f"{program} did not end within {DUMP_SECONDS} s.") from error
    if done.returncode != 0:
        reason = next((line for line in done.stderr.splitlines() if "error" in line.lower()), done.stderr.strip()[:300])
        raise BackupFailed(f"{program} failed: {reason}")


def _text(url: URL) -> str:
    """The URL in the form that libpq reads."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _reason(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."
