"""Tables for the registered search indexes, for the index outbox, and for the snapshots that passed their test."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    op.create_table(
        "search_indexes",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("serving", sa.Boolean(), nullable=False),
        sa.Column("seeded", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "index_backlog",
        sa.Column("index_name", sa.String(length=100), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("stamp", sa.String(length=36), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("index_name", "document_id"),
    )
    op.create_index("index_backlog_order", "index_backlog", ["index_name", "attempts", "stamp"])
    op.create_index("index_backlog_document", "index_backlog", ["document_id"])
    op.create_table(
        "snapshot_checks",
        sa.Column("snapshot_id", sa.String(length=100), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sampled", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("snapshot_id"),
    )


def downgrade() -> None:
    op.drop_table("snapshot_checks")
    op.drop_index("index_backlog_document", table_name="index_backlog")
    op.drop_index("index_backlog_order", table_name="index_backlog")
    op.drop_table("index_backlog")
    op.drop_table("search_indexes")
