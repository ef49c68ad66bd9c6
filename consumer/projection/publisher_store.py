"""What publishing the entries keeps, on SQLite and PostgreSQL. See ``publishing``."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from sqlalchemy import Connection, delete, select

from consumer.errors import FencedError, ProjectionUnavailableError
from consumer.projection import lease_statements, statements
from consumer.projection.base import CONSUMER, GENERATION
from consumer.projection.changes_base import Cursor
from consumer.projection.connections import OwnConnection
from consumer.projection.control_tables import entries_topics
from consumer.projection.database_time import DatabaseNow
from consumer.projection.inserts import insert_into
from consumer.projection.publisher_base import Published, TopicLook
from consumer.projection.tables import checkpoints

_T = TypeVar("_T")

_PATIENCE: Final = 15.0
"""Seconds for a transaction; a frozen server keeps its own time limits no better than anything else."""


class SqlPublisherStore:
    """See ``PublisherStore``. One thread, one connection."""

    def __init__(
        self, address: str, topic: str, *, consumer: str = CONSUMER, generation: int = GENERATION
    ) -> None:
        self._connection = OwnConnection(address)
        self._topic = topic
        self._lease = f"entries-topic/{topic}"
        self._checkpoints = (consumer, generation)

    async def start(self) -> None:
        await self._bounded(self._connection.start)

    async def stop(self) -> None:
        await self._connection.stop()

    async def acquire(self, owner: str, seconds: float) -> int | str:
        return await self._write(
            lambda connection: lease_statements.acquire(connection, self._lease, owner, seconds)
        )

    async def renew(self, epoch: int, seconds: float) -> None:
        await self._write(lambda connection: self._fence(connection, epoch, seconds))

    async def release(self, epoch: int) -> None:
        await self._write(lambda connection: lease_statements.release(connection, self._lease, epoch))

    async def published(self) -> Published | None:
        return await self._look(self._published)

    async def note(self, epoch: int, published: Published, *, whole: bool = False) -> None:
        def work(connection: Connection) -> None:
            self._fence(connection, epoch, None)
            _note(connection, self._topic, published, whole=whole)

        await self._write(work)

    async def forget(self, epoch: int) -> None:
        def work(connection: Connection) -> None:
            self._fence(connection, epoch, None)
            connection.execute(delete(entries_topics).where(entries_topics.c.topic == self._topic))

        await self._write(work)

    async def positions(self) -> Mapping[int, int]:
        return await self._look(self._positions)

    async def look(self) -> TopicLook:
        def work(connection: Connection) -> TopicLook:
            published = self._published(connection)
            holder = lease_statements.holder(connection, self._lease)
            behind = None
            if published is not None:
                seen = published.cursor.offsets
                applied = self._positions(connection, published.cursor.log_id)
                behind = sum(max(0, offset - seen.get(number, 0)) for number, offset in applied.items())
            return TopicLook(published, holder, behind)

        return await self._look(work)

    # On the thread

    def _published(self, connection: Connection) -> Published | None:
        columns = [entries_topics.c[name] for name in Published._fields]
        row = connection.execute(select(*columns).where(entries_topics.c.topic == self._topic)).first()
        if row is None:
            return None
        return Published(_cursor(row[0]), row[1], _offsets(json.loads(row[2])), row[3], row[4])

    def _positions(self, connection: Connection, log_id: str | None = None) -> dict[int, int]:
        rows = statements.positions(*self._checkpoints)
        if log_id is not None:
            rows = rows.where(checkpoints.c.log_id == log_id)
        return {row[0]: row[1] for row in connection.execute(rows)}

    def _fence(self, connection: Connection, epoch: int, seconds: float | None) -> None:
        if not lease_statements.renew(connection, self._lease, epoch, seconds):
            raise FencedError(f"another process publishes to topic {self._topic} by now")

    async def _write(self, work: Callable[[Connection], _T]) -> _T:
        return await self._bounded(lambda: self._connection.write(work))

    async def _look(self, work: Callable[[Connection], _T]) -> _T:
        return await self._bounded(lambda: self._connection.look(work))

    async def _bounded(self, call: Callable[[], Awaitable[_T]]) -> _T:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await call()
        except TimeoutError as error:
            raise ProjectionUnavailableError("the projection's database does not answer") from error


def _note(connection: Connection, topic: str, published: Published, *, whole: bool) -> None:
    cursor = published.cursor
    values: dict[str, object] = {
        "cursor": json.dumps([cursor.log_id, cursor.generation, dict(cursor.offsets), cursor.turn]),
        "partitions": published.partitions,
        "ends": json.dumps(dict(published.ends)),
        "published_at": DatabaseNow(),
    }
    if whole:
        values["whole_at"] = DatabaseNow()
    row = insert_into(entries_topics, connection).values(topic=topic, **{"whole_at": DatabaseNow(), **values})
    connection.execute(row.on_conflict_do_update(index_elements=["topic"], set_=values))


def _cursor(text: str) -> Cursor:
    log_id, generation, offsets, turn = json.loads(text)
    return Cursor(log_id, generation, _offsets(offsets), turn)


def _offsets(found: Mapping[str, int]) -> dict[int, int]:
    """JSON has no numbers as keys."""
    return {int(number): offset for number, offset in found.items()}
