"""The tables that followers of the bin need beside ``bin_entries``."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, Table

from consumer.projection.tables import bin_entries, metadata

_TEXT: Final = bin_entries.c.project.type

# Entries that were there once and are no more: see ``removals``. Only a discarded event leaves a row.
removed_entries: Final = Table(
    "removed_entries",
    metadata,
    Column("project", _TEXT, nullable=False),
    Column("resource_type", _TEXT, nullable=False),
    Column("resource_id", _TEXT, nullable=False),
    Column("changed_partition", Integer, nullable=False),
    Column("changed_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "resource_type", "resource_id", name="removed_entries_pkey"),
)
Index("removed_entries_changed", removed_entries.c.changed_partition, removed_entries.c.changed_offset)

# A generation's random id: cursors carry it, so that those of a projection that was made anew are refused.
# A control table: never part of a rebuild, always part of a backup.
generations: Final = Table(
    "generations",
    metadata,
    Column("consumer", _TEXT, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("identity", _TEXT, nullable=False),
    Column("began_at", BigInteger, nullable=False),  # by the database's clock
    PrimaryKeyConstraint("consumer", "generation", name="generations_pkey"),
)
