"""Alembic's entry point: runs the revisions on the connection that `app.catalog.engine.migrate` passes."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from app.catalog.tables import Base

_LOCK_ID = 0x7EA1  # any constant: two processes that migrate PostgreSQL at once take turns

connection = context.config.attributes["connection"]
sqlite = connection.dialect.name == "sqlite"
connection = connection.execution_options(teal_write=True)
# SQLite can roll back DDL, although Alembic assumes that it cannot. One transaction for all revisions makes two processes take
# turns.
context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=False, transactional_ddl=True)
with context.begin_transaction():
    if not sqlite:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
    context.run_migrations()
