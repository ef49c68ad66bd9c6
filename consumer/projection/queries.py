"""The asking side of the projection, on SQLite and PostgreSQL."""

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial as bound
from itertools import islice
from threading import local
from typing import Final, TypeVar

from sqlalchemy import Connection, select, text

from consumer.errors import ProjectionUnavailableError
from consumer.projection import statements
from consumer.projection.base import CheckpointRow, EventQuery, EventRow, Page, ProjectionInfo
from consumer.projection.engines import open_engine
from consumer.projection.failures import translated
from consumer.projection.migrate import current_version, ensure_schema, latest_version, refuse_newer
from consumer.projection.payloads import PayloadCodec
from consumer.projection.rows import entry_of, event_of
from consumer.projection.tables import checkpoints
from handlers.changes import Entry
from schemas.text import MAX_TEXT, is_storable
from schemas.trash_bin import BinQuery

_T = TypeVar("_T")

_PATIENCE: Final = 20.0
"""Seconds for a query, waiting for a free thread included; the server itself ends it after 15."""


class SqlProjectionReader:
    """See ``ProjectionReader``. ``readers`` threads, each query on whichever is free."""

    def __init__(self, address: str, *, readers: int = 4) -> None:
        self._address = address
        self._database = open_engine(address, "read", connections=readers)
        self._latest = latest_version()
        self._codecs = local()
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="projection-reader")

    async def start(self) -> None:
        may_migrate = self._database.kind == "sqlite"
        await self._on_thread(bound(ensure_schema, self._database, self._address, may_migrate=may_migrate))

    async def list_bin(self, project: str, query: BinQuery) -> Page:
        return await self._read(lambda connection: self._list_bin(connection, project, query))

    async def entry(self, project: str, entry_id: str) -> Entry | None:
        if not (is_storable(project) and is_storable(entry_id)):
            return None
        return await self._read(lambda connection: _entry(connection, project, entry_id))

    async def events(self, query: EventQuery) -> Sequence[EventRow]:
        texts = [value for value in query if isinstance(value, str)]
        if not all(map(is_storable, texts)):
            return []
        return await self._read(lambda connection: self._events(connection, query))

    async def event(self, project: str | None, event_id: str) -> EventRow | None:
        if not (is_storable(project or "") and is_storable(event_id)):
            return None
        return await self._read(lambda connection: self._event(connection, project, event_id))

    async def info(self) -> ProjectionInfo:
        return await self._read(self._info)

    async def ping(self) -> None:
        await self._read(self._ping)

    async def stop(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        self._database.engine.dispose()

    # On the threads

    def _list_bin(self, connection: Connection, project: str, query: BinQuery) -> Page:
        after = None if query.after_id is None else _position(connection, project, query.after_id)
        statement = statements.page_of_entries(project, query, after, self._database.kind)
        rows = connection.execute(statement).all()
        return Page([entry_of(row) for row in rows[: query.limit]], has_more=len(rows) > query.limit)

    def _events(self, connection: Connection, query: EventQuery) -> list[EventRow]:
        projects = _projects(connection) if query.project is None else [query.project]
        pages = [statements.page_of_events(project, query, self._database.kind) for project in projects]
        found = [event_of(row) for page in pages for row in connection.execute(page)]
        found.sort(key=lambda row: (row.received_at, row.project, row.event_id), reverse=True)
        return list(islice(found, query.limit))

    def _event(self, connection: Connection, project: str | None, event_id: str) -> EventRow | None:
        projects = _projects(connection) if project is None else [project]
        row = connection.execute(statements.one_event(projects, event_id)).first()
        if row is None:
            return None
        if not hasattr(self._codecs, "mine"):
            self._codecs.mine = PayloadCodec()
        codec: PayloadCodec = self._codecs.mine
        return event_of(row, codec.unpack(row.payload))

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
            kind=self._database.kind,
            address=self._database.shown,
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
        asked = "SELECT sqlite_version()" if self._database.kind == "sqlite" else "SHOW server_version"
        return str(connection.scalar(text(asked)))

    def _ping(self, connection: Connection) -> None:
        current = connection.scalar(text("SELECT version_num FROM alembic_version"))
        if current != self._latest:
            refuse_newer(str(current), self._database.shown)

    async def _read(self, work: Callable[[Connection], _T]) -> _T:
        return await self._on_thread(bound(self._connected, work))

    def _connected(self, work: Callable[[Connection], _T]) -> _T:
        with translated(self._database.shown), self._database.engine.connect() as connection:
            return work(connection)

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            # A frozen server keeps its own time limits no better than anything else.
            raise ProjectionUnavailableError(f"{self._database.shown} does not answer") from error


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


def _position(connection: Connection, project: str, after_id: str) -> statements.Keyset:
    # An id that no entry has is a place in the order of ids. NUL and lone surrogates, which no id holds and
    # no database compares, make way for their neighbours in that order.
    place = _SURROGATES.sub("\ud7ff", after_id.partition("\0")[0])[:MAX_TEXT]
    entry = _entry(connection, project, place) if place == after_id else None
    return (place, "", "") if entry is None else (entry.sort_key, *entry.key[1:])


def _projects(connection: Connection) -> list[str]:
    return list(connection.scalars(statements.event_projects()))
