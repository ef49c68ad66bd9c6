"""What changed since, on SQLite and PostgreSQL. See ``changes_base`` for the contract."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, exists, func, literal, select

from consumer.errors import CursorExpiredError, ProjectionUnavailableError
from consumer.projection.base import CONSUMER, GENERATION
from consumer.projection.changes_base import BEGINNING, ChangedEntry, ChangesPage, Cursor
from consumer.projection.generations import generation_id
from consumer.projection.read_pool import ReadPool
from consumer.projection.rows import held_entry
from consumer.projection.snapshots import snapshot
from consumer.projection.tables import bin_entries, checkpoints, removed_entries
from consumer.types import Position
from handlers.changes import ResourceKey

_OFFSETS: Final = 50_000
"""How far a page of one project looks, over all partitions: others' changes in between are passed over."""
_LEAST_OFFSETS: Final = 1_000
_PATIENCE: Final = 20.0
"""Seconds for a turn; the pool gives the reading itself as many."""

_entry = bin_entries.c
_removed = removed_entries.c
_ENTRIES: Final = select(bin_entries)
_REMOVED: Final = select(removed_entries).where(
    # An entry that has come back is told as what it is.
    ~exists().where(*(_entry[name] == _removed[name] for name in ResourceKey._fields))
)
_offset_of = attrgetter("position.offset")


class _Reached(NamedTuple):
    """The projection as one snapshot shows it."""

    log_id: str
    generation: str
    ends: Mapping[int, int]
    """Partition → first offset not applied yet."""


class SqlChanges:
    """See ``Changes``. The pool belongs to whoever gives it."""

    def __init__(
        self,
        pool: ReadPool,
        *,
        consumer: str = CONSUMER,
        generation: int = GENERATION,
        at_once: int | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        """``at_once``: so many of the pool's threads may read changes; None: all of them.

        ``patience``: seconds that a reading waits for its turn, while others read.
        """
        self._turns = None if at_once is None else asyncio.Semaphore(at_once)
        self._patience = patience
        self._pool = pool
        self._consumer = consumer
        self._generation = generation

    async def changes(self, project: str | None, after: Cursor | None, limit: int) -> ChangesPage:
        async with self._turn():
            return await self._pool.read(partial(self._page, project, after or BEGINNING, limit))

    async def now(self) -> Cursor:
        return await self._pool.read(self._now)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._turns is None:
            yield
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
        except TimeoutError:
            # Whoever reads gives up in time; with many who wait, that is no bound for the last one.
            raise ProjectionUnavailableError(
                "too many others read changes, or the database is slow"
            ) from None
        try:
            yield
        finally:
            self._turns.release()

    # On the threads

    def _now(self, connection: Connection) -> Cursor:
        with snapshot(connection):
            reached = self._reached(connection)
        return BEGINNING if reached is None else Cursor(reached.log_id, reached.generation, reached.ends)

    def _page(self, project: str | None, after: Cursor, limit: int, connection: Connection) -> ChangesPage:
        with snapshot(connection):
            reached = self._reached(connection)
            if reached is None:
                if after.offsets:
                    raise CursorExpiredError("nothing has been applied yet: this projection is a new one")
                return ChangesPage([], BEGINNING, caught_up=True)
            _refuse_other(after, reached)
            return _next_page(connection, project, after, reached, limit)

    def _reached(self, connection: Connection) -> _Reached | None:
        generation = generation_id(connection, self._consumer, self._generation)
        table = checkpoints.c
        rows = connection.execute(
            select(table.log_id, table.log_partition, table.next_offset).where(
                table.consumer == self._consumer, table.generation == self._generation
            )
        ).all()
        if generation is None or not rows:
            return None
        return _Reached(rows[0].log_id, generation, {row.log_partition: row.next_offset for row in rows})


def _refuse_other(after: Cursor, reached: _Reached) -> None:
    if after.log_id == BEGINNING.log_id and after.generation == BEGINNING.generation and not after.offsets:
        return
    if after.log_id != reached.log_id:
        raise CursorExpiredError("the cursor belongs to another event log")
    if after.generation != reached.generation:
        raise CursorExpiredError("the cursor belongs to another generation: the projection was made anew")
    if any(offset > reached.ends.get(partition, 0) for partition, offset in after.offsets.items()):
        raise CursorExpiredError("the cursor is ahead of the projection, of which an older copy was put back")


def _next_page(
    connection: Connection, project: str | None, after: Cursor, reached: _Reached, limit: int
) -> ChangesPage:
    offsets = {partition: after.offsets.get(partition, 0) for partition in reached.ends}
    pending = sorted(partition for partition, end in reached.ends.items() if offsets[partition] < end)
    # Each in turn, starting with the one that a small page did not come to.
    pending = [*(p for p in pending if p >= after.turn), *(p for p in pending if p < after.turn)]
    window = None if project is None else max(_LEAST_OFFSETS, _OFFSETS // max(1, len(pending)))
    with_removed = bool(connection.scalar(select(exists(select(literal(1)).select_from(removed_entries)))))
    turn, found, left = after.turn, list[ChangedEntry](), limit
    for number, partition in enumerate(pending):
        if left <= 0:
            break
        quota = max(1, left // (len(pending) - number))
        query = _Query(connection, project, partition, with_removed=with_removed)
        told, offsets[partition] = query.page(offsets[partition], reached.ends[partition], window, quota)
        found += told
        left -= len(told)
        turn = partition + 1
    caught_up = all(offsets[partition] >= end for partition, end in reached.ends.items())
    return ChangesPage(found, Cursor(reached.log_id, reached.generation, offsets, turn), caught_up)


class _Query:
    """The changes of one partition."""

    def __init__(
        self, connection: Connection, project: str | None, partition: int, *, with_removed: bool
    ) -> None:
        self._connection = connection
        self._project = project
        self._partition = partition
        self._sources: Sequence[tuple[Table, Select[Any]]] = (
            ((bin_entries, _ENTRIES), (removed_entries, _REMOVED))
            if with_removed
            else ((bin_entries, _ENTRIES),)
        )

    def page(self, start: int, end: int, window: int | None, quota: int) -> tuple[list[ChangedEntry], int]:
        """At most ``quota`` changes (one record's more), and the offset to go on from."""
        if window is not None and end - start > window:
            start = self._first(start, end)
            end = min(end, start + window)
        through = end - 1
        rows = {}
        for table, columns in self._sources:
            rows[table] = self._rows(table, columns, table.c.changed_offset.between(start, through), quota)
            if len(rows[table]) == quota:
                through = min(through, rows[table][-1].changed_offset)
        for table, columns in self._sources:
            # One record may have changed several entries: of the last offset all, whatever the limit.
            if len(rows[table]) == quota and rows[table][-1].changed_offset == through:
                before = [row for row in rows[table] if row.changed_offset < through]
                rows[table] = before + self._rows(table, columns, table.c.changed_offset == through, None)
        changes = [_changed(table, row) for table, found in rows.items() for row in found]
        changes = sorted((change for change in changes if _offset_of(change) <= through), key=_offset_of)
        if len(changes) > quota:
            through = _offset_of(changes[quota - 1])
            changes = [change for change in changes if _offset_of(change) <= through]
        return changes, through + 1

    def _first(self, start: int, end: int) -> int:
        """The first offset from ``start`` with a change of anyone's, else ``end``."""
        least = [
            self._connection.scalar(
                select(func.min(table.c.changed_offset)).where(self._within(table, start))
            )
            for table, _ in self._sources
        ]
        return min((offset for offset in least if offset is not None), default=end)

    def _within(self, table: Table, start: int) -> ColumnElement[bool]:
        return and_(table.c.changed_partition == self._partition, table.c.changed_offset >= start)

    def _rows(
        self, table: Table, columns: Select[Any], where: ColumnElement[bool], limit: int | None
    ) -> list[Any]:
        statement = columns.where(table.c.changed_partition == self._partition, where)
        if self._project is not None:
            statement = statement.where(table.c.project == self._project)
        ordered = statement.order_by(table.c.changed_offset, *(table.c[name] for name in ResourceKey._fields))
        return list(self._connection.execute(ordered.limit(limit)))


def _changed(table: Table, row: Any) -> ChangedEntry:  # noqa: ANN401 - a row of either table
    position = Position(row.changed_partition, row.changed_offset)
    if table is removed_entries:
        return ChangedEntry(ResourceKey(*row[:3]), None, position)
    entry = held_entry(row).entry
    return ChangedEntry(entry.key, entry, position)
