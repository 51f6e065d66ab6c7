"""A real PostgreSQL for one test run: TEST_DATABASE_URL when set, else a cluster of its own on a Unix socket."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.postgres_server import running

HINT = "apt-get install postgresql, or set TEST_DATABASE_URL"


def binaries() -> Path | None:
    """The newest installed PostgreSQL's programs; None when there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def available() -> bool:
    """Whether `start` can work here."""
    return bool(os.environ.get("TEST_DATABASE_URL")) or binaries() is not None


@contextmanager
def start(work: Path) -> Iterator[str]:
    """A `postgresql://` URL of an empty database, gone at exit. `work`: a folder this process may write to."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        with fresh_database(given) as url:
            yield url
        return
    programs = binaries()
    if programs is None:
        raise RuntimeError(f"no PostgreSQL here: {HINT}")
    work.mkdir(parents=True, exist_ok=True)
    with running(programs) as server, fresh_database(server.url) as url:
        yield url


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """A URL of an empty database on the server of another URL, dropped at exit."""
    import psycopg
    from sqlalchemy import make_url

    name = f"teal_{uuid.uuid4().hex[:12]}"
    plain = make_url(server).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield plain.set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
