"""Names that many entries have, in the listing's order; in SQLite the names' other index is small again."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_LISTED = sa.text("state IN ('deleted', 'in_bin')")
_ZONES: list[Any] = ["project", sa.text("substr(sort_key, 1, 8)"), "resource_type", "resource_name"]
_KEYSET = ["sort_key", "resource_type", "resource_id"]
_FOLDED_NAME: list[Any] = ["project", sa.func.lower(sa.column("resource_name"))]


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.create_index("bin_entries_zones", "bin_entries", _ZONES, postgresql_where=_LISTED)
        return
    op.create_index("bin_entries_zones", "bin_entries", [*_ZONES, "sort_key", "resource_id"], sqlite_where=_LISTED)
    _index_folded_names([])


def downgrade() -> None:
    op.drop_index("bin_entries_zones", "bin_entries")
    if op.get_context().dialect.name == "sqlite":
        _index_folded_names(["resource_name", *_KEYSET, "state"])


def _index_folded_names(more: list[str]) -> None:
    op.drop_index("bin_entries_folded_name", "bin_entries")
    op.create_index("bin_entries_folded_name", "bin_entries", [*_FOLDED_NAME, *more])
