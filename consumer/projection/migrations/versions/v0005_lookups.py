"""Lookups by code: names without their case in place of names, and the vouchers seen alive under a code."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SIGHTING = sa.text("type IN ('voucher.created', 'voucher.updated') AND status IN ('applied', 'ignored')")


def upgrade() -> None:
    op.drop_index("bin_entries_resource_name", "bin_entries")
    op.create_index(
        "bin_entries_folded_name", "bin_entries", ["project", sa.func.lower(sa.column("resource_name"))]
    )
    op.create_index(
        "events_sighted_name",
        "events",
        ["project", sa.func.lower(sa.column("resource_name"))],
        sqlite_where=SIGHTING,
        postgresql_where=SIGHTING,
    )
    if op.get_context().dialect.name == "postgresql":
        # The planner knows nothing of an expression until it has looked.
        op.execute("ANALYZE bin_entries, events")


def downgrade() -> None:
    op.drop_index("events_sighted_name", "events")
    op.drop_index("bin_entries_folded_name", "bin_entries")
    op.create_index("bin_entries_resource_name", "bin_entries", ["project", "resource_name"])
