"""Quotas of keys, what keys have used of them, and which key replaced another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
phase = "expand"  # an older release writes no value into the new columns, and none means no quota


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("requests_per_day", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("questions_per_day", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("replaced_by", sa.String(length=32), nullable=True))
    op.create_table(
        "key_usage",
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("questions", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key_id", "day"),
    )


def downgrade() -> None:
    op.drop_table("key_usage")
    for column in ("replaced_by", "questions_per_day", "requests_per_day"):
        op.drop_column("api_keys", column)
