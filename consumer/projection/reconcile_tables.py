"""What reconciling keeps beside the bin: who is at it, how far a run is, what it has seen.

Control tables: never part of a rebuild, always part of a backup. Times are microseconds since the Unix epoch.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import TEXT

from consumer.projection.tables import metadata

_TEXT: Final = Text().with_variant(TEXT(collation="C"), "postgresql")

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
