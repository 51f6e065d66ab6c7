"""Warnings about parts of a document that could not be read, and the document that a worker has been processing for longest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
phase = "expand"  # an older release writes no value into the new columns, and no value means no warning


def upgrade() -> None:
    op.add_column("documents", sa.Column("warnings", sa.JSON(), nullable=True))
    op.add_column("workers", sa.Column("document_id", sa.String(length=36), nullable=True))
    op.add_column("workers", sa.Column("document_since", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("workers", "document_since")
    op.drop_column("workers", "document_id")
    op.drop_column("documents", "warnings")
