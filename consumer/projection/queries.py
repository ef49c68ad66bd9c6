"""The asking side of the projection, on SQLite and PostgreSQL."""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

from sqlalchemy import Connection, select, text

from consumer.projection import statements
from consumer.projection.base import CheckpointRow, EventQuery, EventRow, Page, ProjectionInfo
from consumer.projection.listing import READ_IN_ORDER, Listing
from consumer.projection.migrate import current_version, latest_version, refuse_newer
from consumer.projection.pages import Keyset
from consumer.projection.payloads import CodecOfThread
from consumer.projection.read_pool import ReadPool
from consumer.projection.rows import entry_of, event_of
from consumer.projection.tables import checkpoints
from handlers.changes import Entry
from schemas.text import MAX_TEXT, is_storable
from schemas.trash_bin import BinQuery


class SqlProjectionReader:
    """See ``ProjectionReader``. Starts and stops the pool that it is given."""

    def __init__(self, pool: ReadPool, *, read_in_order: int = READ_IN_ORDER) -> None:
        self._pool = pool
        self._in_order = read_in_order
        self._latest = latest_version()
        self._of_thread = CodecOfThread()

    async def start(self) -> None:
        await self._pool.start()

    async def list_bin(self, project: str, query: BinQuery) -> Page:
        return await self._pool.read(lambda connection: self._list_bin(connection, project, query))

    async def entry(self, project: str, entry_id: str) -> Entry | None:
        if not (is_storable(project) and is_storable(entry_id)):
            return None
        return await self._pool.read(lambda connection: _entry(connection, project, entry_id))

    async def events(self, query: EventQuery) -> Sequence[EventRow]:
        texts = [value for value in query if isinstance(value, str)]
        if not all(map(is_storable, texts)):
            return []
        return await self._pool.read(lambda connection: self._events(connection, query))

    async def event(self, project: str | None, event_id: str) -> EventRow | None:
        if not (is_storable(project or "") and is_storable(event_id)):
            return None
        return await self._pool.read(lambda connection: self._event(connection, project, event_id))

    async def info(self) -> ProjectionInfo:
        return await self._pool.read(self._info)

    async def ping(self) -> None:
        await self._pool.read(self._ping)

    async def stop(self) -> None:
        await self._pool.stop()

    # On the threads

    def _list_bin(self, connection: Connection, project: str, query: BinQuery) -> Page:
        after = None if query.after_id is None else _position(connection, project, query.after_id)
        rows = Listing(
            connection, self._pool.kind, project, query, after=after, in_order=self._in_order
        ).rows()
        return Page([entry_of(row) for row in rows[: query.limit]], has_more=len(rows) > query.limit)

    def _events(self, connection: Connection, query: EventQuery) -> list[EventRow]:
        projects = _projects(connection) if query.project is None else [query.project]
        pages = [statements.page_of_events(project, query, self._pool.kind) for project in projects]
        found = [event_of(row) for page in pages for row in connection.execute(page)]
        found.sort(key=lambda row: (row.received_at, row.project, row.event_id), reverse=True)
        return list(islice(found, query.limit))

    def _event(self, connection: Connection, project: str | None, event_id: str) -> EventRow | None:
        projects = _projects(connection) if project is None else [project]
        row = connection.execute(statements.one_event(projects, event_id)).first()
        if row is None:
            return None
        return event_of(row, self._of_thread.codec.unpack(row.payload))

    def _info(self, connection: Connection) -> ProjectionInfo:
        in_order = checkpoints.c
        rows = select(*(in_order[name] for name in _CHECKPOINT_COLUMNS)).order_by(
            in_order.consumer, in_order.generation, in_order.log_id, in_order.log_partition
        )
        totals = [(*row[:4], int(row[4])) for row in connection.execute(statements.count_totals())]
        newest = {
            project: connection.scalar(statements.newest_delivery(project))
            for project in _projects(connection)
        }
        return ProjectionInfo(
            kind=self._pool.kind,
            address=self._pool.shown,
            server_version=self._server_version(connection),
            schema_version=current_version(connection),
            latest_schema_version=self._latest,
            checkpoints=[CheckpointRow._make(row) for row in connection.execute(rows)],
            entries={
                (who, what, state): n for kind, who, what, state, n in totals if kind == "entries" and n
            },
            events={(who, state): n for kind, who, _, state, n in totals if kind == "events" and n},
            last_deliveries={project: moment for project, moment in newest.items() if moment is not None},
        )

    def _server_version(self, connection: Connection) -> str:
        asked = "SELECT sqlite_version()" if self._pool.kind == "sqlite" else "SHOW server_version"
        return str(connection.scalar(text(asked)))

    def _ping(self, connection: Connection) -> None:
        current = connection.scalar(text("SELECT version_num FROM alembic_version"))
        if current != self._latest:
            refuse_newer(str(current), self._pool.shown)


_SURROGATES: Final = re.compile("[\ud800-\udfff]")

_CHECKPOINT_COLUMNS: Final = (
    "consumer",
    "generation",
    "log_id",
    "log_partition",
    "next_offset",
    "epoch",
    "lease_owner",
    "caught_up_at",
)


def _entry(connection: Connection, project: str, entry_id: str) -> Entry | None:
    row = connection.execute(statements.entries_by_id(project, entry_id)).first()
    return None if row is None else entry_of(row)


def _position(connection: Connection, project: str, after_id: str) -> Keyset:
    # An id that no entry has is a place in the order of ids. NUL and lone surrogates, which no id holds and
    # no database compares, make way for their neighbours in that order.
    place = _SURROGATES.sub("\ud7ff", after_id.partition("\0")[0])[:MAX_TEXT]
    entry = _entry(connection, project, place) if place == after_id else None
    return (place, "", "") if entry is None else (entry.sort_key, *entry.key[1:])


def _projects(connection: Connection) -> list[str]:
    return list(connection.scalars(statements.event_projects()))
