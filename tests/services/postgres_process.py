"""A real PostgreSQL for one test run: TEST_DATABASE_URL when set, else a cluster of its own on a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name  # initdb refuses root
    home = Path(tempfile.mkdtemp(prefix="teal-pg-", dir="/tmp"))  # a socket's path has at most 107 characters
    try:
        if os.geteuid() == 0:
            shutil.chown(home, user)
        data = home / "data"
        run: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": home}
        if os.geteuid() == 0:
            run["user"] = user
        subprocess.run([programs / "initdb", "-D", data, "-U", "teal", "--auth=trust", "-E", "UTF8", "--no-sync"], **run)
        options = (
            f"-c listen_addresses= -c unix_socket_directories={home} -c fsync=off -c shared_buffers=32MB -c max_connections=100"
        )
        subprocess.run([programs / "pg_ctl", "-D", data, "-o", options, "-l", home / "log", "-w", "start"], **run)
        try:
            with fresh_database(f"postgresql://teal@/postgres?host={home}") as url:
                yield url
        finally:
            subprocess.run([programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], **run)
    finally:
        shutil.rmtree(home, ignore_errors=True)


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
