"""What may stand in a revision that is marked `expand`, and what may not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from alembic import op

from app.catalog import expanding, phases
from app.errors import MigrationRefused


def _rename() -> None:
    op.alter_column("documents", "title", new_column_name="name")


def _narrow() -> None:
    op.alter_column("documents", "title", type_=sa.String(length=10))


def _in_a_batch() -> None:
    with op.batch_alter_table("documents") as batch:
        batch.drop_column("title")


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "drop_column": (lambda: op.drop_column("documents", "title"), "drops a column"),
    "in_a_batch": (_in_a_batch, "drops a column"),
    "drop_table": (lambda: op.drop_table("documents"), "drops a table"),
    "rename_table": (lambda: op.rename_table("documents", "texts"), "renames"),
    "rename_column": (_rename, "renames"),
    "narrow": (_narrow, "changes a column's type"),
    "not_null": (lambda: op.alter_column("documents", "title", nullable=False), "makes a column NOT NULL"),
    "no_default": (lambda: op.add_column("documents", sa.Column("x", sa.Text(), nullable=False)), "NOT NULL column without a default"),
    "unique": (lambda: op.create_unique_constraint("u", "documents", ["title"]), "forbids rows"),
    "unique_index": (lambda: op.create_index("u", "documents", ["title"], unique=True), "forbids rows"),
    "by_hand": (lambda: op.execute("alter table documents\n  drop column title"), "drops a column"),
    "rows": (lambda: op.execute("DELETE FROM documents"), "deletes rows"),
    "needs_a_database": (lambda: op.get_bind().execute(sa.text("SELECT 1")).scalar_one() + 1, "without a database"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_revision_marked_expand_that_takes_something_away_is_refused_with_its_statement(kind: str) -> None:
    upgrade, words = REFUSED[kind]
    with pytest.raises(MigrationRefused, match=words):
        expanding.check("0099", upgrade)  # type: ignore[arg-type]


def _expands() -> None:
    op.add_column("documents", sa.Column("a", sa.JSON(), nullable=True))
    op.add_column("documents", sa.Column("b", sa.Integer(), nullable=False, server_default="0"))
    op.alter_column("documents", "title", type_=sa.Text())
    op.alter_column("documents", "title", nullable=True)
    op.create_table("new", sa.Column("id", sa.Integer(), nullable=False))
    op.create_unique_constraint("u", "new", ["id"])
    op.create_index("i", "documents", ["title"])
    op.drop_index("i", table_name="documents")
    op.execute("UPDATE documents SET a = 'drop column' WHERE a IS NULL")


def test_what_only_adds_is_allowed() -> None:
    expanding.check("0099", _expands)


def test_every_revision_of_this_code_is_what_it_says() -> None:
    phases.require_expanding()
