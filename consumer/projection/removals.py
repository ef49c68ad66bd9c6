"""Entries that are no more, because every event that spoke of them was discarded: followers are told of them.

The rows lie in a table of their own, which the fold never reads: an entry that comes back is simply there
again, and its row here counts for nothing while it is.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, delete

from consumer.projection.inserts import insert_into
from consumer.projection.tables import bin_entries, removed_entries
from handlers.changes import ResourceKey


def remove_entries(connection: Connection, partition: int, gone: Mapping[ResourceKey, int]) -> None:
    """Delete the entries, and note the offset of the record that did it."""
    if not gone:
        return
    where = [bin_entries.c[column] == bindparam(f"the_{column}") for column in ResourceKey._fields]
    rows = [{f"the_{column}": value for column, value in key._asdict().items()} for key in gone]
    connection.execute(delete(bin_entries).where(*where), rows)
    new = insert_into(removed_entries, connection)
    position = {name: new.excluded[name] for name in ("changed_partition", "changed_offset")}
    connection.execute(
        new.on_conflict_do_update(index_elements=list(ResourceKey._fields), set_=position),
        [
            {**key._asdict(), "changed_partition": partition, "changed_offset": offset}
            for key, offset in gone.items()
        ],
    )
