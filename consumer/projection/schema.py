"""The whole schema: all tables, wherever they are described."""

from typing import Final

from sqlalchemy import Index, MetaData, Table

from consumer.projection import tables
from consumer.projection.entry_indexes import ENTRY_INDEXES
from consumer.projection.following_tables import generations, removed_entries
from consumer.projection.key_tables import access_tokens, api_keys
from consumer.projection.publisher_tables import entries_topics

_IMPORTED: Final[tuple[Table, ...]] = (removed_entries, generations, entries_topics, api_keys, access_tokens)
_INDEXES: Final[tuple[Index, ...]] = ENTRY_INDEXES
metadata: Final[MetaData] = tables.metadata
