"""The index of vouchers seen alive under a code leads to the newest event of each."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SIGHTING = sa.text("type IN ('voucher.created', 'voucher.updated') AND status IN ('applied', 'ignored')")
_CODE: list[Any] = ["project", sa.func.lower(sa.column("resource_name"))]
_NEWEST: list[Any] = [
    sa.text("substr(resource_id, 1, 64)"),
    sa.text("substr(resource_name, 1, 64)"),
    sa.text("(CASE WHEN occurred_at < received_at THEN occurred_at ELSE received_at END) DESC"),
]


def upgrade() -> None:
    _index([*_CODE, *_NEWEST])
    if op.get_context().dialect.name == "postgresql":
        # The planner knows nothing of an expression until it has looked.
        op.execute("ANALYZE events")


def downgrade() -> None:
    _index(_CODE)


def _index(parts: list[Any]) -> None:
    op.drop_index("events_sighted_name", "events")
    op.create_index(
        "events_sighted_name", "events", parts, sqlite_where=_SIGHTING, postgresql_where=_SIGHTING
    )
