"""The whole schema: all tables, wherever they are described."""

from typing import Final

from sqlalchemy import MetaData, Table

from consumer.projection import tables
from consumer.projection.following_tables import generations, removed_entries
from consumer.projection.publisher_tables import entries_topics

_IMPORTED: Final[tuple[Table, ...]] = (removed_entries, generations, entries_topics)
metadata: Final[MetaData] = tables.metadata
