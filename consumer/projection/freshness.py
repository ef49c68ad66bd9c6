"""How fresh the projection is, on SQLite and PostgreSQL."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final

from sqlalchemy import Connection, func, select

from consumer.projection.base import CONSUMER, GENERATION
from consumer.projection.database_time import DatabaseNow
from consumer.projection.freshness_base import Freshness
from consumer.projection.read_pool import ReadPool
from consumer.projection.tables import checkpoints, events
from schemas.text import is_storable
from schemas.times import SECOND, Micros

_AT_ONCE: Final = 500
"""Event ids in one statement."""


class SqlFreshnessReader:
    """See ``FreshnessReader``. The pool belongs to whoever gives it."""

    def __init__(self, pool: ReadPool, *, consumer: str = CONSUMER, generation: int = GENERATION) -> None:
        self._pool = pool
        self._consumer = consumer
        self._generation = generation

    async def freshness(self, events: Collection[tuple[str, str]]) -> Freshness:
        asked = frozenset(events)
        return await self._pool.read(lambda connection: self._freshness(connection, asked))

    def _freshness(self, connection: Connection, asked: frozenset[tuple[str, str]]) -> Freshness:
        age, seen = self._age(connection)
        return Freshness(age, seen, frozenset(_present(connection, asked)))

    def _age(self, connection: Connection) -> tuple[Micros | None, Micros | None]:
        table = checkpoints.c
        known, seen, least, now = connection.execute(
            select(func.count(), func.count(table.caught_up_at), func.min(table.caught_up_at), DatabaseNow())
            .select_from(checkpoints)
            .where(table.consumer == self._consumer, table.generation == self._generation)
        ).one()
        if not known or known != seen:
            return None, None
        # A moment yet to come was noted before the clock was set back: how long ago, nobody can tell.
        return (max(0, now - least) if now - least >= -SECOND else None), least


def _present(connection: Connection, asked: frozenset[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    by_project: dict[str, list[str]] = defaultdict(list)
    for project, event_id in asked:
        if is_storable(project) and is_storable(event_id):
            by_project[project].append(event_id)
    table = events.c
    for project, event_ids in by_project.items():
        remaining = iter(event_ids)
        while some := list(islice(remaining, _AT_ONCE)):
            # Without deliveries the row only waits for an event that was discarded beforehand.
            there = select(table.event_id).where(
                table.project == project, table.event_id.in_(some), table.deliveries > 0
            )
            for event_id in connection.scalars(there):
                yield project, event_id
