"""The column that says which document replaces which, and indexes for documents purged
lately and for the documents of an origin."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
phase = "expand"  # an older release writes no value into the new column, and no value means that the document is not replaced

_LIVE = "deleted_at IS NULL"
_REPLACED = "replaced_by IS NOT NULL"
_WAITING = "replaced_by IS NOT NULL AND deleted_at IS NULL"
_PURGED = "purged_at IS NOT NULL"


def upgrade() -> None:
    op.add_column("documents", sa.Column("replaced_by", sa.String(length=36), nullable=True))
    op.create_index(
        "documents_replaced",
        "documents",
        ["replaced_by"],
        sqlite_where=sa.text(_REPLACED),
        postgresql_where=sa.text(_REPLACED),
    )
    op.create_index(
        "documents_waiting",
        "documents",
        ["replaced_by", "id"],
        sqlite_where=sa.text(_WAITING),
        postgresql_where=sa.text(_WAITING),
    )
    op.create_index(
        "documents_origin",
        "documents",
        ["collection", sa.text("substr(coalesce(source, filename), 1, 200)")],
        sqlite_where=sa.text(_LIVE),
        postgresql_where=sa.text(_LIVE),
    )
    op.create_index(
        "documents_purged", "documents", ["purged_at"], sqlite_where=sa.text(_PURGED), postgresql_where=sa.text(_PURGED)
    )


def downgrade() -> None:
    op.drop_index("documents_purged", table_name="documents")
    op.drop_index("documents_origin", table_name="documents")
    op.drop_index("documents_waiting", table_name="documents")
    op.drop_index("documents_replaced", table_name="documents")
    op.drop_column("documents", "replaced_by")
