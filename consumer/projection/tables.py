"""The projection's tables, for SQLite and PostgreSQL alike.

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
from sqlalchemy.dialects.postgresql import TEXT

metadata: Final = MetaData()

_TEXT: Final = Text().with_variant(TEXT(collation="C"), "postgresql")

LISTED: Final = "state IN ('deleted', 'in_bin')"
"""Literal, as are the other conditions of partial indexes: a query's planner matches them word by word."""
NOT_LISTED: Final = "state NOT IN ('deleted', 'in_bin')"
OTHER_PROVISIONAL: Final = "provisional_id <> sort_key"
TROUBLED: Final = "status IN ('failed', 'discarded')"
SIGHTING: Final = "type IN ('voucher.created', 'voucher.updated') AND status IN ('applied', 'ignored')"
"""Events that show a voucher alive."""

bin_entries: Final = Table(
    "bin_entries",
    metadata,
    Column("project", _TEXT, nullable=False),
    Column("resource_type", _TEXT, nullable=False),
    Column("resource_id", _TEXT, nullable=False),
    Column("sort_key", _TEXT, nullable=False),
    Column("provisional_id", _TEXT),
    Column("entry_id", _TEXT),
    Column("state", _TEXT, nullable=False),
    Column("evidence_at", BigInteger, nullable=False),
    Column("evidence_event_id", _TEXT, nullable=False),
    Column("created_at", BigInteger),  # NULL together with resource_name: only known to be gone
    Column("resource_name", _TEXT),
    Column("resource_parent_id", _TEXT),
    Column("deleted_by_user_id", _TEXT),
    Column("snapshot_event_id", _TEXT),
    Column("snapshot_occurred_at", BigInteger),
    Column("observed_at", BigInteger),
    Column("observed_event_id", _TEXT),
    Column("changed_partition", Integer, nullable=False),  # of the record that last changed a visible field
    Column("changed_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "resource_type", "resource_id", name="bin_entries_pkey"),
)
# The payload lies out of the key tree: an ordinary rowid table in SQLite, where events are appended.
events: Final = Table(
    "events",
    metadata,
    Column("project", _TEXT, nullable=False),
    Column("event_id", _TEXT, nullable=False),
    Column("source", _TEXT, nullable=False),
    Column("type", _TEXT, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("delivery_id", _TEXT, nullable=False),
    Column("voucherify_project", _TEXT),
    Column("channel", _TEXT),
    Column("group_id", _TEXT),
    Column("user_id", _TEXT),
    Column("resource_type", _TEXT),
    Column("resource_id", _TEXT),
    Column("resource_name", _TEXT),
    Column("status", _TEXT, nullable=False),
    Column("failure_code", _TEXT),
    Column("failure_message", _TEXT),
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
    "events_sighted_name",  # the vouchers seen alive under a code
    events.c.project,
    func.lower(events.c.resource_name),
    sqlite_where=text(SIGHTING),
    postgresql_where=text(SIGHTING),
)

checkpoints: Final = Table(
    "checkpoints",
    metadata,
    Column("consumer", _TEXT, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("log_id", _TEXT, nullable=False),
    Column("log_partition", Integer, nullable=False),
    Column("next_offset", BigInteger, nullable=False),  # first offset not applied yet
    Column("epoch", BigInteger, nullable=False),  # grows with every acquisition
    Column("lease_owner", _TEXT),
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
    Column("kind", _TEXT, nullable=False),  # entries, events
    Column("project", _TEXT, nullable=False),
    Column("resource_type", _TEXT, nullable=False),  # empty for events
    Column("state", _TEXT, nullable=False),  # an entry's state, an event's status
    Column("rows", BigInteger, nullable=False),
    PrimaryKeyConstraint("log_partition", "kind", "project", "resource_type", "state", name="counts_pkey"),
)

# What operators decided about an event, kept by the worker: part of a rebuild. Not in ``events``, where it
# would cost every event something.
event_decisions: Final = Table(
    "event_decisions",
    metadata,
    Column("project", _TEXT, nullable=False),
    Column("target_event_id", _TEXT, nullable=False),
    Column("event_id", _TEXT, nullable=False),  # of the decision itself
    Column("action", _TEXT, nullable=False),  # redriven, discarded
    Column("decided_at", BigInteger, nullable=False),
    Column("who", _TEXT),
    Column("reason", _TEXT),
    PrimaryKeyConstraint("project", "target_event_id", "event_id", name="event_decisions_pkey"),
)

# Below: control tables. Never part of a rebuild, always part of a backup.

audit: Final = Table(
    "audit",
    metadata,
    Column("audit_id", _TEXT, nullable=False),  # the run's or request's id, as in the own events that it made
    Column("began_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # NULL while it runs, and for ever if it was killed
    Column("who", _TEXT, nullable=False),
    Column("action", _TEXT, nullable=False),
    Column("project", _TEXT),
    Column("filters", _TEXT, nullable=False),  # a JSON object
    Column("reason", _TEXT),
    Column("result", _TEXT),
    Column("counts", _TEXT, nullable=False),  # a JSON object
    PrimaryKeyConstraint("audit_id", name="audit_pkey"),
)
Index("audit_newest", audit.c.began_at, audit.c.audit_id)

worker_pauses: Final = Table(  # a row: every worker of the consumer waits
    "worker_pauses",
    metadata,
    Column("consumer", _TEXT, nullable=False),
    Column("paused_at", BigInteger, nullable=False),
    Column("who", _TEXT, nullable=False),
    Column("reason", _TEXT),
    PrimaryKeyConstraint("consumer", name="worker_pauses_pkey"),
)

worker_stops: Final = Table(  # a row: this worker has stopped by itself; it goes on when the row is gone
    "worker_stops",
    metadata,
    Column("consumer", _TEXT, nullable=False),
    Column("worker", _TEXT, nullable=False),  # as in checkpoints.lease_owner
    Column("stopped_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),  # the process was alive then
    Column("reason", _TEXT, nullable=False),
    PrimaryKeyConstraint("consumer", "worker", name="worker_stops_pkey"),
)

leases: Final = Table(
    "leases",
    metadata,
    Column("name", _TEXT, nullable=False),
    Column("owner", _TEXT, nullable=False),
    Column("epoch", BigInteger, nullable=False),  # grows with every taking: a former owner is fenced
    Column("until", BigInteger, nullable=False),  # by the database's clock; 0 when let go
    PrimaryKeyConstraint("name", name="leases_pkey"),
)

reconcile_runs: Final = Table(
    "reconcile_runs",
    metadata,
    Column("project", _TEXT, nullable=False),
    Column("mode", _TEXT, nullable=False),  # full, incremental, report: the latest run of each
    Column("run_id", _TEXT, nullable=False),
    Column("started_at", BigInteger, nullable=False),  # grows from run to run, whatever the clock does
    Column("phase", _TEXT, nullable=False),  # reading, missing, stopped, done
    Column("position", _TEXT),  # Voucherify's bin has been read up to this id
    Column("tally", _TEXT, nullable=False),  # JSON
    Column("updated_at", BigInteger, nullable=False),  # by the database's clock
    PrimaryKeyConstraint("project", "mode", name="reconcile_runs_pkey"),
)

reconcile_projects: Final = Table(
    "reconcile_projects",
    metadata,
    Column("project", _TEXT, nullable=False),
    Column("position", _TEXT),  # where the next incremental run starts
    Column("first_full_at", BigInteger),  # start of the first full run that was completed
    Column("full_done_at", BigInteger),  # when a full run was last completed, by the database's clock
    Column("full_entries", BigInteger),  # how many entries it read
    Column("done_at", BigInteger),  # when any run was last completed, by the database's clock
    Column("tried_at", BigInteger),  # when one last ended, by the database's clock
    Column("full_tried_at", BigInteger),  # when a full one last ended
    Column("failure", _TEXT),  # why the last one was not completed
    PrimaryKeyConstraint("project", name="reconcile_projects_pkey"),
)

# Entries of the mirror that a complete reading has come across: what has none at its end is missing.
reconcile_seen: Final = Table(
    "reconcile_seen",
    metadata,
    Column("project", _TEXT, nullable=False),
    Column("run", BigInteger, nullable=False),  # its started_at
    Column("resource_type", _TEXT, nullable=False),
    Column("resource_id", _TEXT, nullable=False),
    PrimaryKeyConstraint("project", "run", "resource_type", "resource_id", name="reconcile_seen_pkey"),
    sqlite_with_rowid=False,
)
