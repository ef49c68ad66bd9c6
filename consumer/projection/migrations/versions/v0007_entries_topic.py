"""The compacted topic of entries: how far each topic has come."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "entries_topics",
        _text("topic"),
        _text("cursor"),
        sa.Column("partitions", sa.Integer, nullable=False),
        _text("ends"),
        sa.Column("published_at", sa.BigInteger, nullable=False),
        sa.Column("whole_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("topic", name="entries_topics_pkey"),
    )


def downgrade() -> None:
    op.drop_table("entries_topics")


def _text(name: str) -> sa.Column[str]:
    kind = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)
