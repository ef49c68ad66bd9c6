"""Reconciling: leases, runs, what is known per project, marks of what a run has seen."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leases",
        _text("name", nullable=False),
        _text("owner", nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="leases_pkey"),
    )
    op.create_table(
        "reconcile_runs",
        _text("project", nullable=False),
        _text("mode", nullable=False),
        _text("run_id", nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        _text("phase", nullable=False),
        _text("position"),
        _text("tally", nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "mode", name="reconcile_runs_pkey"),
    )
    op.create_table(
        "reconcile_projects",
        _text("project", nullable=False),
        _text("position"),
        *(
            sa.Column(name, sa.BigInteger)
            for name in (
                "first_full_at", "full_done_at", "full_entries", "done_at", "tried_at", "full_tried_at"
            )
        ),
        _text("failure"),
        sa.PrimaryKeyConstraint("project", name="reconcile_projects_pkey"),
    )
    op.create_table(
        "reconcile_seen",
        _text("project", nullable=False),
        sa.Column("run", sa.BigInteger, nullable=False),
        _text("resource_type", nullable=False),
        _text("resource_id", nullable=False),
        sa.PrimaryKeyConstraint(
            "project", "run", "resource_type", "resource_id", name="reconcile_seen_pkey"
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("reconcile_seen", "reconcile_projects", "reconcile_runs", "leases"):
        op.drop_table(table)


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    kind = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=nullable)
