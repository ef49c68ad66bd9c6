"""What operators do: the audit, the worker's pause and stops, decisions about events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        _text("audit_id", nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        _text("who", nullable=False),
        _text("action", nullable=False),
        _text("project"),
        _text("filters", nullable=False),
        _text("reason"),
        _text("result"),
        _text("counts", nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name="audit_pkey"),
    )
    op.create_index("audit_newest", "audit", ["began_at", "audit_id"])
    op.create_table(
        "worker_pauses",
        _text("consumer", nullable=False),
        sa.Column("paused_at", sa.BigInteger, nullable=False),
        _text("who", nullable=False),
        _text("reason"),
        sa.PrimaryKeyConstraint("consumer", name="worker_pauses_pkey"),
    )
    op.create_table(
        "worker_stops",
        _text("consumer", nullable=False),
        _text("worker", nullable=False),
        sa.Column("stopped_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        _text("reason", nullable=False),
        sa.PrimaryKeyConstraint("consumer", "worker", name="worker_stops_pkey"),
    )
    op.create_table(
        "event_decisions",
        _text("project", nullable=False),
        _text("target_event_id", nullable=False),
        _text("event_id", nullable=False),
        _text("action", nullable=False),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
        _text("who"),
        _text("reason"),
        sa.PrimaryKeyConstraint("project", "target_event_id", "event_id", name="event_decisions_pkey"),
    )


def downgrade() -> None:
    for table in ("event_decisions", "worker_stops", "worker_pauses", "audit"):
        op.drop_table(table)


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    kind = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=nullable)
