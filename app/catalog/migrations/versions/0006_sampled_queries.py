"""The sample of users' searches and questions that a release can replay."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
phase = "expand"  # an older release neither writes nor reads the new table


def upgrade() -> None:
    op.create_table(
        "sampled_queries",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=True),
        sa.Column("top_k", sa.Integer(), nullable=False),
        sa.Column("collections", sa.JSON(), nullable=True),
        sa.Column("conditions", sa.JSON(), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=True),
        sa.Column("request", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "sampled_queries_texts",
        "sampled_queries",
        ["id"],
        sqlite_where=sa.text("request IS NOT NULL"),
        postgresql_where=sa.text("request IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("sampled_queries_texts", table_name="sampled_queries")
    op.drop_table("sampled_queries")
