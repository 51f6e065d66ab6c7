"""Helpers of the catalog tests: what is asked of SQLite is asked of PostgreSQL."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import event, text

from app.catalog import documents
from app.catalog.engine import Catalog


def submission(content: str, collection: str = "default", **fields: Any) -> documents.Submission:
    values: dict[str, Any] = {
        "title": "Title",
        "media_type": "text/plain",
        "filename": None,
        "source": None,
        "metadata": {"a": "b"},
    } | fields
    digest = hashlib.sha256(f"{values['title']}\0{content}".encode()).hexdigest()
    return documents.Submission(body=content.encode(), collection=collection, content_sha256=digest, **values)


def accept(
    catalog: Catalog, content: str, *, key: str | None = None, key_id: str = "k", **fields: Any
) -> documents.AcceptedDocument:
    with catalog.write() as session:
        return documents.accept(session, submission(content, **fields), key_id=key_id, idempotency_key=key)


def fill(catalog: Catalog, count: int) -> None:
    """Many live documents, a few deleted: enough for a planner to prefer an index."""
    with catalog.write() as session:
        session.execute(
            text(
                "INSERT INTO documents (id, collection, title, metadata, content_sha256, media_type, bytes, status, attempts, revision,"
                " passages_total, passages_done, embedded, created_at, updated_at, deleted_at)"
                " VALUES (:id, :collection, 't', '{}', :sha, 'text/plain', 1, :status, 0, 1, 1, 1, :embedded, :moment, :moment, :deleted)"
            ),
            [
                {
                    "id": f"{number:036d}", "collection": f"c{number % 500}", "sha": f"{number:064d}", "moment": "2026-01-01 00:00:00",
                    "status": "indexed" if number % 100 else ("queued", "failed")[number // 100 % 2],
                    "embedded": number % 250 != 1, "deleted": "2026-01-02 00:00:00" if number % 300 == 7 else None,
                }
                for number in range(count)
            ],
        )  # fmt: skip
        session.execute(text("ANALYZE"))


def plans(catalog: Catalog, action: Any) -> list[str]:
    """The plan of each statement on documents that `action(session)` sends, in order."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if "documents" in statement and not statement.startswith(("EXPLAIN", "PRAGMA")):
            seen.append((statement, parameters))

    event.listen(catalog.engine, "before_cursor_execute", note)
    try:
        with catalog.write() as session:
            action(session)
    finally:
        event.remove(catalog.engine, "before_cursor_execute", note)
    prefix = "EXPLAIN QUERY PLAN " if catalog.engine.dialect.name == "sqlite" else "EXPLAIN "
    with catalog.engine.connect() as connection:
        return [
            "\n".join(str(row[-1]) for row in connection.exec_driver_sql(prefix + sql, parameters)) for sql, parameters in seen
        ]
