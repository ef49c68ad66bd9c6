"""The first tables: entries of the bin, events, checkpoints, counts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LISTED = "state IN ('deleted', 'in_bin')"
_NOT_LISTED = "state NOT IN ('deleted', 'in_bin')"
_OTHER_PROVISIONAL = "provisional_id <> sort_key"
_TROUBLED = "status IN ('failed', 'discarded')"


def upgrade() -> None:
    _bin_entries()
    _events()
    op.create_table(
        "checkpoints",
        _text("consumer", nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        _text("log_id", nullable=False),
        sa.Column("log_partition", sa.Integer, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        _text("lease_owner"),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("digest", sa.LargeBinary),
        sa.Column("caught_up_at", sa.BigInteger),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("consumer", "generation", "log_id", "log_partition", name="checkpoints_pkey"),
    )
    op.create_table(
        "counts",
        sa.Column("log_partition", sa.Integer, nullable=False),
        _text("kind", nullable=False),
        _text("project", nullable=False),
        _text("resource_type", nullable=False),
        _text("state", nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "log_partition", "kind", "project", "resource_type", "state", name="counts_pkey"
        ),
    )


def downgrade() -> None:
    for table in ("counts", "checkpoints", "events", "bin_entries"):
        op.drop_table(table)


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    kind = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=nullable)


def _index(name: str, table: str, columns: list[str], where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def _bin_entries() -> None:
    op.create_table(
        "bin_entries",
        _text("project", nullable=False),
        _text("resource_type", nullable=False),
        _text("resource_id", nullable=False),
        _text("sort_key", nullable=False),
        _text("provisional_id"),
        _text("entry_id"),
        _text("state", nullable=False),
        sa.Column("evidence_at", sa.BigInteger, nullable=False),
        _text("evidence_event_id", nullable=False),
        sa.Column("created_at", sa.BigInteger),
        _text("resource_name"),
        _text("resource_parent_id"),
        _text("deleted_by_user_id"),
        _text("snapshot_event_id"),
        sa.Column("snapshot_occurred_at", sa.BigInteger),
        sa.Column("observed_at", sa.BigInteger),
        _text("observed_event_id"),
        sa.Column("changed_partition", sa.Integer, nullable=False),
        sa.Column("changed_offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "resource_type", "resource_id", name="bin_entries_pkey"),
    )
    keyset = ["project", "sort_key", "resource_type", "resource_id"]
    _index("bin_entries_listed", "bin_entries", keyset, _LISTED)
    _index("bin_entries_not_listed", "bin_entries", ["project", "sort_key"], _NOT_LISTED)
    _index("bin_entries_provisional_id", "bin_entries", ["project", "provisional_id"], _OTHER_PROVISIONAL)
    _index("bin_entries_entry_id", "bin_entries", ["project", "entry_id"], "entry_id IS NOT NULL")
    _index("bin_entries_resource_name", "bin_entries", ["project", "resource_name"])
    parent = ["project", "resource_parent_id"]
    _index("bin_entries_resource_parent_id", "bin_entries", parent, "resource_parent_id IS NOT NULL")


def _events() -> None:
    op.create_table(
        "events",
        _text("project", nullable=False),
        _text("event_id", nullable=False),
        _text("source", nullable=False),
        _text("type", nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        _text("delivery_id", nullable=False),
        _text("voucherify_project"),
        _text("channel"),
        _text("group_id"),
        _text("user_id"),
        _text("resource_type"),
        _text("resource_id"),
        _text("resource_name"),
        _text("status", nullable=False),
        _text("failure_code"),
        _text("failure_message"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("deliveries", sa.Integer, nullable=False),
        sa.Column("log_partition", sa.Integer, nullable=False),
        sa.Column("log_offset", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("project", "event_id", name="events_pkey"),
    )
    _index("events_newest", "events", ["project", "received_at", "event_id"])
    _index("events_troubled", "events", ["project", "status", "received_at", "event_id"], _TROUBLED)
    resource = ["project", "resource_id", "resource_type"]
    _index("events_resource", "events", resource, "resource_id IS NOT NULL")
