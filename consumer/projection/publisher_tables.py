"""The table of the topics of entries: a control table, see ``tables``."""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, Table

from consumer.projection.tables import bin_entries, metadata

_TEXT: Final = bin_entries.c.project.type

entries_topics: Final = Table(
    "entries_topics",
    metadata,
    Column("topic", _TEXT, nullable=False),
    Column("cursor", _TEXT, nullable=False),  # JSON: changes up to here are in the topic
    Column("partitions", Integer, nullable=False),  # a key's place hangs on their number
    Column("ends", _TEXT, nullable=False),  # JSON: partition → an end that it must have reached
    Column("published_at", BigInteger, nullable=False),  # by the database's clock
    Column("whole_at", BigInteger, nullable=False),  # when everything was last published anew
    PrimaryKeyConstraint("topic", name="entries_topics_pkey"),
)
