"""Following the bin: entries by the position of their change, what was removed, the generations' ids."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

revision = "0006"
down_revision = "0003"
branch_labels = None
depends_on = None

_POSITION = ["changed_partition", "changed_offset"]


def upgrade() -> None:
    op.create_index("bin_entries_changed", "bin_entries", _POSITION)
    op.create_table(
        "removed_entries",
        _text("project"),
        _text("resource_type"),
        _text("resource_id"),
        sa.Column("changed_partition", sa.Integer, nullable=False),
        sa.Column("changed_offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "resource_type", "resource_id", name="removed_entries_pkey"),
    )
    op.create_index("removed_entries_changed", "removed_entries", _POSITION)
    op.create_table(
        "generations",
        _text("consumer"),
        sa.Column("generation", sa.Integer, nullable=False),
        _text("identity"),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("consumer", "generation", name="generations_pkey"),
    )


def downgrade() -> None:
    op.drop_table("generations")
    op.drop_table("removed_entries")
    op.drop_index("bin_entries_changed", "bin_entries")


def _text(name: str) -> sa.Column[str]:
    kind = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)
