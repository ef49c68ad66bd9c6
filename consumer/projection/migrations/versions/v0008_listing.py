"""The listing's indexes: by type; in SQLite with what filters and order need."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0005"
branch_labels = None
depends_on = None

_LISTED = sa.text("state IN ('deleted', 'in_bin')")
_KEYSET = ["sort_key", "resource_type", "resource_id"]
_FOLDED_NAME: list[Any] = ["project", sa.func.lower(sa.column("resource_name"))]


def upgrade() -> None:
    by_type = ["project", "resource_type", "sort_key", "resource_id"]
    op.drop_index("bin_entries_listed", "bin_entries")
    if op.get_context().dialect.name == "postgresql":
        op.create_index("bin_entries_listed", "bin_entries", by_type, postgresql_where=_LISTED)
        return
    more = ["resource_name", "state"]
    op.create_index("bin_entries_listed", "bin_entries", [*by_type, *more], sqlite_where=_LISTED)
    op.drop_index("bin_entries_folded_name", "bin_entries")
    op.create_index(
        "bin_entries_folded_name", "bin_entries", [*_FOLDED_NAME, "resource_name", *_KEYSET, "state"]
    )
    op.drop_index("bin_entries_entry_id", "bin_entries")
    _index_entry_ids([*_KEYSET, "state"])


def downgrade() -> None:
    op.drop_index("bin_entries_listed", "bin_entries")
    op.create_index(
        "bin_entries_listed",
        "bin_entries",
        ["project", *_KEYSET],
        sqlite_where=_LISTED,
        postgresql_where=_LISTED,
    )
    if op.get_context().dialect.name == "sqlite":
        op.drop_index("bin_entries_folded_name", "bin_entries")
        op.create_index("bin_entries_folded_name", "bin_entries", _FOLDED_NAME)
        op.drop_index("bin_entries_entry_id", "bin_entries")
        _index_entry_ids([])


def _index_entry_ids(more: list[str]) -> None:
    where = sa.text("entry_id IS NOT NULL")
    op.create_index("bin_entries_entry_id", "bin_entries", ["project", "entry_id", *more], sqlite_where=where)
