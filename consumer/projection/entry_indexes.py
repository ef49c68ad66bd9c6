"""The indexes of the bin's entries. Each costs the worker on every event, so each has its reason."""

from typing import Final

from sqlalchemy import Index, func, text

from consumer.projection.tables import LISTED, NOT_LISTED, OTHER_PROVISIONAL, ZONE, bin_entries

_KEYSET: Final = (bin_entries.c.sort_key, bin_entries.c.resource_type, bin_entries.c.resource_id)
_ZONE: Final = (
    bin_entries.c.project,
    text(ZONE),
    bin_entries.c.resource_type,
    bin_entries.c.resource_name,
)
# In SQLite some indexes hold besides what the listing's filters and order need, so that its rows need not be
# looked up one by one to be sorted or passed over: far dearer there than in PostgreSQL, where a row of an
# index also has a greatest size.
ENTRY_INDEXES: Final = (
    Index(
        "bin_entries_listed",  # the listing's keyset, for each type
        bin_entries.c.project,
        bin_entries.c.resource_type,
        bin_entries.c.sort_key,
        bin_entries.c.resource_id,
        postgresql_where=text(LISTED),
    ).ddl_if(dialect="postgresql"),
    Index(
        "bin_entries_listed",
        bin_entries.c.project,
        bin_entries.c.resource_type,
        bin_entries.c.sort_key,
        bin_entries.c.resource_id,
        bin_entries.c.resource_name,
        bin_entries.c.state,
        sqlite_where=text(LISTED),
    ).ddl_if(dialect="sqlite"),
    Index(
        "bin_entries_not_listed",  # an id that a client still holds, of an entry that has left the bin
        bin_entries.c.project,
        bin_entries.c.sort_key,
        sqlite_where=text(NOT_LISTED),
        postgresql_where=text(NOT_LISTED),
    ),
    Index(
        "bin_entries_provisional_id",  # mostly the sort key itself: then the two indexes above find it
        bin_entries.c.project,
        bin_entries.c.provisional_id,
        sqlite_where=text(OTHER_PROVISIONAL),
        postgresql_where=text(OTHER_PROVISIONAL),
    ),
    Index(
        "bin_entries_entry_id",
        bin_entries.c.project,
        bin_entries.c.entry_id,
        postgresql_where=text("entry_id IS NOT NULL"),
    ).ddl_if(dialect="postgresql"),
    Index(
        "bin_entries_entry_id",
        bin_entries.c.project,
        bin_entries.c.entry_id,
        *_KEYSET,
        bin_entries.c.state,
        sqlite_where=text("entry_id IS NOT NULL"),
    ).ddl_if(dialect="sqlite"),
    Index(
        "bin_entries_folded_name",  # a code or name, whether or not the project tells upper from lower case
        bin_entries.c.project,
        func.lower(bin_entries.c.resource_name),
    ),
    Index(
        "bin_entries_zones",  # names that many entries have, in the listing's order
        *_ZONE,
        postgresql_where=text(LISTED),
    ).ddl_if(dialect="postgresql"),
    Index(
        "bin_entries_zones",
        *_ZONE,
        bin_entries.c.sort_key,
        bin_entries.c.resource_id,
        sqlite_where=text(LISTED),
    ).ddl_if(dialect="sqlite"),
    Index(
        "bin_entries_resource_parent_id",
        bin_entries.c.project,
        bin_entries.c.resource_parent_id,
        sqlite_where=text("resource_parent_id IS NOT NULL"),
        postgresql_where=text("resource_parent_id IS NOT NULL"),
    ),
    Index("bin_entries_changed", bin_entries.c.changed_partition, bin_entries.c.changed_offset),  # followers
)
