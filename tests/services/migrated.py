"""A new catalog at the newest schema. Alembic's revisions run once in a process for SQLite; every further file is a copy."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from sqlalchemy.engine import make_url

from app.catalog.engine import migrate


def migrated(url: str) -> None:
    """What `migrate(url)` does to a new database. What another revision does is tested with `migrate` itself."""
    database = make_url(url)
    if database.get_backend_name() != "sqlite" or not database.database:
        migrate(url)
        return
    file = Path(database.database)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_template())


@functools.cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "catalog.db"
        migrate(f"sqlite:///{file}")
        return file.read_bytes()
