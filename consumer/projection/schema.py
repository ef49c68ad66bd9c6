"""The whole schema: all tables and indexes, wherever they are described."""

from typing import Final

from sqlalchemy import MetaData

from consumer.projection import control_tables, entry_indexes, tables

DESCRIBED_IN: Final = (tables, control_tables, entry_indexes)
metadata: Final[MetaData] = tables.metadata
