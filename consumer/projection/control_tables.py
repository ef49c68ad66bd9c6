"""The control tables, beside what is made of the log: never part of a rebuild, always part of a backup."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table

from consumer.projection.tables import TEXT, metadata

audit: Final = Table(
    "audit",
    metadata,
    Column("audit_id", TEXT, nullable=False),  # the run's or request's id, as in the own events that it made
    Column("began_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # NULL while it runs, and for ever if it was killed
    Column("who", TEXT, nullable=False),
    Column("action", TEXT, nullable=False),
    Column("project", TEXT),
    Column("filters", TEXT, nullable=False),  # a JSON object
    Column("reason", TEXT),
    Column("result", TEXT),
    Column("counts", TEXT, nullable=False),  # a JSON object
    PrimaryKeyConstraint("audit_id", name="audit_pkey"),
)
Index("audit_newest", audit.c.began_at, audit.c.audit_id)

worker_pauses: Final = Table(  # a row: every worker of the consumer waits
    "worker_pauses",
    metadata,
    Column("consumer", TEXT, nullable=False),
    Column("paused_at", BigInteger, nullable=False),
    Column("who", TEXT, nullable=False),
    Column("reason", TEXT),
    PrimaryKeyConstraint("consumer", name="worker_pauses_pkey"),
)

worker_stops: Final = Table(  # a row: this worker has stopped by itself; it goes on when the row is gone
    "worker_stops",
    metadata,
    Column("consumer", TEXT, nullable=False),
    Column("worker", TEXT, nullable=False),  # as in checkpoints.lease_owner
    Column("stopped_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),  # the process was alive then
    Column("reason", TEXT, nullable=False),
    PrimaryKeyConstraint("consumer", "worker", name="worker_stops_pkey"),
)

leases: Final = Table(
    "leases",
    metadata,
    Column("name", TEXT, nullable=False),
    Column("owner", TEXT, nullable=False),
    Column("epoch", BigInteger, nullable=False),  # grows with every taking: a former owner is fenced
    Column("until", BigInteger, nullable=False),  # by the database's clock; 0 when let go
    PrimaryKeyConstraint("name", name="leases_pkey"),
)

reconcile_runs: Final = Table(
    "reconcile_runs",
    metadata,
    Column("project", TEXT, nullable=False),
    Column("mode", TEXT, nullable=False),  # full, incremental, report: the latest run of each
    Column("run_id", TEXT, nullable=False),
    Column("started_at", BigInteger, nullable=False),  # grows from run to run, whatever the clock does
    Column("phase", TEXT, nullable=False),  # reading, missing, stopped, done
    Column("position", TEXT),  # Voucherify's bin has been read up to this id
    Column("tally", TEXT, nullable=False),  # JSON
    Column("updated_at", BigInteger, nullable=False),  # by the database's clock
    PrimaryKeyConstraint("project", "mode", name="reconcile_runs_pkey"),
)

reconcile_projects: Final = Table(
    "reconcile_projects",
    metadata,
    Column("project", TEXT, nullable=False),
    Column("position", TEXT),  # where the next incremental run starts
    Column("first_full_at", BigInteger),  # start of the first full run that was completed
    Column("full_done_at", BigInteger),  # when a full run was last completed, by the database's clock
    Column("full_entries", BigInteger),  # how many entries it read
    Column("done_at", BigInteger),  # when any run was last completed, by the database's clock
    Column("tried_at", BigInteger),  # when one last ended, by the database's clock
    Column("full_tried_at", BigInteger),  # when a full one last ended
    Column("failure", TEXT),  # why the last one was not completed
    PrimaryKeyConstraint("project", name="reconcile_projects_pkey"),
)

# Entries of the mirror that a complete reading has come across: what has none at its end is missing.
reconcile_seen: Final = Table(
    "reconcile_seen",
    metadata,
    Column("project", TEXT, nullable=False),
    Column("run", BigInteger, nullable=False),  # its started_at
    Column("resource_type", TEXT, nullable=False),
    Column("resource_id", TEXT, nullable=False),
    PrimaryKeyConstraint("project", "run", "resource_type", "resource_id", name="reconcile_seen_pkey"),
    sqlite_with_rowid=False,
)

# A generation's random id: cursors carry it, so that those of a projection that was made anew are refused.
generations: Final = Table(
    "generations",
    metadata,
    Column("consumer", TEXT, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("identity", TEXT, nullable=False),
    Column("began_at", BigInteger, nullable=False),  # by the database's clock
    PrimaryKeyConstraint("consumer", "generation", name="generations_pkey"),
)

# Up to which change each topic of entries holds the bin.
entries_topics: Final = Table(
    "entries_topics",
    metadata,
    Column("topic", TEXT, nullable=False),
    Column("cursor", TEXT, nullable=False),  # JSON: changes up to here are in the topic
    Column("partitions", Integer, nullable=False),  # a key's place hangs on their number
    Column("ends", TEXT, nullable=False),  # JSON: partition → an end that it must have reached
    Column("published_at", BigInteger, nullable=False),  # by the database's clock
    Column("whole_at", BigInteger, nullable=False),  # when everything was last published anew
    PrimaryKeyConstraint("topic", name="entries_topics_pkey"),
)

api_keys: Final = Table(  # those that operators created; the settings' own are not here
    "api_keys",
    metadata,
    Column("app_id", TEXT, nullable=False),
    Column("project", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the token
    Column("permissions", TEXT, nullable=False),  # a JSON list
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", TEXT, nullable=False),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),  # the row stays, so that the audit can be understood
    PrimaryKeyConstraint("app_id", name="api_keys_pkey"),
)

access_tokens: Final = Table(
    "access_tokens",
    metadata,
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the token
    Column("app_id", TEXT, nullable=False),  # of a created key or of the settings'
    Column("proof", LargeBinary, nullable=False),  # that it was issued under the key as it is now
    Column("scopes", TEXT, nullable=False),  # separated by spaces
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("digest", name="access_tokens_pkey"),
)
Index("access_tokens_expiry", access_tokens.c.expires_at)  # the expired are deleted
Index("access_tokens_of_key", access_tokens.c.app_id, access_tokens.c.expires_at)  # counted; ended with it
