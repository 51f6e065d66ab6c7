"""The system of record: private, encrypted, recoverable, restored beside what runs, cared for every week."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from infra.platform.stores.database_maintenance import SCRIPT
from infra.platform.stores.database_parameters import parameters
from tests.services.required import require


@pytest.mark.integration
def test_a_real_postgresql_accepts_each_parameter(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for one in parameters():
            if not one.name.startswith("rds."):
                connection.execute(f"ALTER SYSTEM SET {one.name} = '{one.value}'")
                connection.execute(f"ALTER SYSTEM RESET {one.name}")


@pytest.mark.integration
def test_maintenance_vacuums_reindexes_and_clears_what_was_interrupted(postgres_url: str, tmp_path: Path) -> None:
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    require("PostgreSQL's client programs", "apt-get install postgresql.", bool(binaries))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE care (id int PRIMARY KEY, word text)")
        connection.execute("INSERT INTO care SELECT n, 'w' FROM generate_series(1, 1000) n")
        connection.execute("DELETE FROM care WHERE id > 10")
        # What a REINDEX CONCURRENTLY that was cut off leaves: an invalid index of this name.
        connection.execute("CREATE INDEX care_word_ccnew ON care (word)")
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'care_word_ccnew'::regclass")
        try:
            done = subprocess.run(
                ["/bin/sh", str(SCRIPT)],
                env={**os.environ, **client(postgres_url, tmp_path), "PATH": f"{binaries[-1]}:{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            (left,) = connection.execute("SELECT count(*) FROM pg_class WHERE relname = 'care_word_ccnew'").fetchone() or (None,)
            (rows,) = connection.execute("SELECT reltuples FROM pg_class WHERE relname = 'care'").fetchone() or (None,)
        finally:
            connection.execute("DROP TABLE care")
    assert left == 0
    assert rows == 10
    assert done.stdout.endswith("done\n")


def client(url: str, folder: Path) -> dict[str, str]:
    """What the CronJob's pod has: where the database is, and a folder with name and password."""
    known = conninfo_to_dict(url)
    (folder / "username").write_text(str(known.get("user", "")))
    (folder / "password").write_text(str(known.get("password", "")))
    return {
        "PGHOST": str(known.get("host", "")),
        "PGPORT": str(known.get("port", 5432)),
        "PGDATABASE": str(known["dbname"]),
        "SECRETS": str(folder),
    }
