"""The tables that the worker makes of the log, for SQLite and PostgreSQL alike: a rebuild makes them anew.

All text compares by code point: ``COLLATE "C"`` in PostgreSQL, SQLite's own BINARY. All times are
microseconds since the Unix epoch. An index costs the worker on every event, so each has its reason.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects import postgresql

metadata: Final = MetaData()

TEXT: Final = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")

LISTED: Final = "state IN ('deleted', 'in_bin')"
"""Literal, as are the other conditions of partial indexes: a query's planner matches them word by word."""
NOT_LISTED: Final = "state NOT IN ('deleted', 'in_bin')"
ZONE_LENGTH: Final = 8
ZONE: Final = f"substr(sort_key, 1, {ZONE_LENGTH})"
"""What entries that follow each other in the listing's order have in common: ``tbe_`` and four digits of
time, which are 18 hours and 38 minutes. A year of deletions has 470 zones: few enough to look into each, and
small enough to read one."""
OTHER_PROVISIONAL: Final = "provisional_id <> sort_key"
TROUBLED: Final = "status IN ('failed', 'discarded')"
SIGHTING: Final = "type IN ('voucher.created', 'voucher.updated') AND status IN ('applied', 'ignored')"
"""Events that show a voucher alive."""
SIGHTED_AT: Final = "CASE WHEN occurred_at < received_at THEN occurred_at ELSE received_at END"
SIGHTED_LENGTH: Final = 64
SIGHTED_ID: Final = "substr(resource_id, 1, 64)"
SIGHTED_NAME: Final = "substr(resource_name, 1, 64)"
"""Beside a whole code, a row of a PostgreSQL index has no room for a whole id."""

bin_entries: Final = Table(
    "bin_entries",
    metadata,
    Column("project", TEXT, nullable=False),
    Column("resource_type", TEXT, nullable=False),
    Column("resource_id", TEXT, nullable=False),
    Column("sort_key", TEXT, nullable=False),
    Column("provisional_id", TEXT),
    Column("entry_id", TEXT),
    Column("state", TEXT, nullable=False),
    Column("evidence_at", BigInteger, nullable=False),
    Column("evidence_event_id", TEXT, nullable=False),
    Column("created_at", BigInteger),  # NULL together with resource_name: only known to be gone
    Column("resource_name", TEXT),
    Column("resource_parent_id", TEXT),
    Column("deleted_by_user_id", TEXT),
    Column("snapshot_event_id", TEXT),
    Column("snapshot_occurred_at", BigInteger),
    Column("observed_at", BigInteger),
    Column("observed_event_id", TEXT),
    Column("changed_partition", Integer, nullable=False),  # of the record that last changed a visible field
    Column("changed_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "resource_type", "resource_id", name="bin_entries_pkey"),
)

# Entries that were there once and are no more: see ``removals``. Only a discarded event leaves a row.
removed_entries: Final = Table(
    "removed_entries",
    metadata,
    Column("project", TEXT, nullable=False),
    Column("resource_type", TEXT, nullable=False),
    Column("resource_id", TEXT, nullable=False),
    Column("changed_partition", Integer, nullable=False),
    Column("changed_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "resource_type", "resource_id", name="removed_entries_pkey"),
)
Index("removed_entries_changed", removed_entries.c.changed_partition, removed_entries.c.changed_offset)

# The payload lies out of the key tree: an ordinary rowid table in SQLite, where events are appended.
events: Final = Table(
    "events",
    metadata,
    Column("project", TEXT, nullable=False),
    Column("event_id", TEXT, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("delivery_id", TEXT, nullable=False),
    Column("voucherify_project", TEXT),
    Column("channel", TEXT),
    Column("group_id", TEXT),
    Column("user_id", TEXT),
    Column("resource_type", TEXT),
    Column("resource_id", TEXT),
    Column("resource_name", TEXT),
    Column("status", TEXT, nullable=False),
    Column("failure_code", TEXT),
    Column("failure_message", TEXT),
    Column("attempts", Integer, nullable=False),
    Column("deliveries", Integer, nullable=False),
    Column("log_partition", Integer, nullable=False),  # of the delivery whose content this is
    Column("log_offset", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),  # see payloads
    PrimaryKeyConstraint("project", "event_id", name="events_pkey"),
)
Index("events_newest", events.c.project, events.c.received_at, events.c.event_id)
Index(
    "events_troubled",  # failed and discarded ones, newest first
    events.c.project,
    events.c.status,
    events.c.received_at,
    events.c.event_id,
    sqlite_where=text(TROUBLED),
    postgresql_where=text(TROUBLED),
)
Index(
    "events_resource",  # what happened to a resource; an entry folded anew
    events.c.project,
    events.c.resource_id,
    events.c.resource_type,
    sqlite_where=text("resource_id IS NOT NULL"),
    postgresql_where=text("resource_id IS NOT NULL"),
)
Index(
    "events_sighted_name",  # the vouchers seen alive under a code, the newest event of each first
    events.c.project,
    func.lower(events.c.resource_name),
    text(SIGHTED_ID),
    text(SIGHTED_NAME),
    text(f"({SIGHTED_AT}) DESC"),
    sqlite_where=text(SIGHTING),
    postgresql_where=text(SIGHTING),
)

checkpoints: Final = Table(
    "checkpoints",
    metadata,
    Column("consumer", TEXT, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("log_id", TEXT, nullable=False),
    Column("log_partition", Integer, nullable=False),
    Column("next_offset", BigInteger, nullable=False),  # first offset not applied yet
    Column("epoch", BigInteger, nullable=False),  # grows with every acquisition
    Column("lease_owner", TEXT),
    Column("lease_until", BigInteger),  # by the database's clock
    Column("digest", LargeBinary),  # of the record at next_offset - 1
    Column("caught_up_at", BigInteger),  # when the end of the log was last seen
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("consumer", "generation", "log_id", "log_partition", name="checkpoints_pkey"),
)

# How many events and entries there are, kept by the worker in the batch's own transaction, because counting
# millions of rows is too dear for a health check. One row per partition, so that workers do not wait for
# each other's row locks; the sum over the partitions is the count (a single row may be negative).
counts: Final = Table(
    "counts",
    metadata,
    Column("log_partition", Integer, nullable=False),
    Column("kind", TEXT, nullable=False),  # entries, events
    Column("project", TEXT, nullable=False),
    Column("resource_type", TEXT, nullable=False),  # empty for events
    Column("state", TEXT, nullable=False),  # an entry's state, an event's status
    Column("rows", BigInteger, nullable=False),
    PrimaryKeyConstraint("log_partition", "kind", "project", "resource_type", "state", name="counts_pkey"),
)

# What operators decided about an event, kept by the worker: part of a rebuild. Not in ``events``, where it
# would cost every event something.
event_decisions: Final = Table(
    "event_decisions",
    metadata,
    Column("project", TEXT, nullable=False),
    Column("target_event_id", TEXT, nullable=False),
    Column("event_id", TEXT, nullable=False),  # of the decision itself
    Column("action", TEXT, nullable=False),  # redriven, discarded
    Column("decided_at", BigInteger, nullable=False),
    Column("who", TEXT),
    Column("reason", TEXT),
    PrimaryKeyConstraint("project", "target_event_id", "event_id", name="event_decisions_pkey"),
)
