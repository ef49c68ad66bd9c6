"""What operators ask about events beside listing them, on SQLite and PostgreSQL."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

from sqlalchemy import Connection, select

from consumer.projection import statements
from consumer.projection.base import CONSUMER, EventQuery, EventRow
from consumer.projection.connections import Connections
from consumer.projection.engines import Kind
from consumer.projection.rows import event_of
from consumer.projection.tables import event_decisions
from schemas.text import is_storable
from schemas.times import Micros

_AT_ONCE: Final = 500
"""Ids in one statement."""


class DecisionRow(NamedTuple):
    """An operator's decision about an event."""

    event_id: str
    """Of the decision itself."""
    action: Literal["redriven", "discarded"]
    decided_at: Micros
    who: str | None
    reason: str | None


class EventFinder(Protocol):
    """Raises ProjectionUnavailableError, SchemaMismatchError."""

    async def count(self, query: EventQuery) -> Mapping[tuple[str, str | None], int]:
        """(Status, failure code) → how many match, on all pages."""

    async def by_id(self, project: str | None, event_ids: Sequence[str]) -> Sequence[EventRow]:
        """The events of these ids that there are, without bodies; ``project`` None: of every project."""

    async def decisions(self, project: str, event_id: str) -> Sequence[DecisionRow]:
        """What was decided about an event, in the order of the decisions."""

    async def positions(self) -> Mapping[int, int]:
        """Partition → the first offset that is not applied yet."""


class SqlEventFinder:
    """See ``EventFinder``."""

    def __init__(self, connections: Connections, *, consumer: str = CONSUMER) -> None:
        self._connections = connections
        self._consumer = consumer

    async def count(self, query: EventQuery) -> Mapping[tuple[str, str | None], int]:
        if not all(is_storable(value) for value in query if isinstance(value, str)):
            return {}

        def work(connection: Connection) -> Mapping[tuple[str, str | None], int]:
            found: Counter[tuple[str, str | None]] = Counter()
            for project in _projects(connection, query.project):
                counted = statements.count_of_events(project, query, _kind(connection))
                for status, code, number in connection.execute(counted):
                    found[status, code] += number
            return found

        return await self._connections.look(work)

    async def by_id(self, project: str | None, event_ids: Sequence[str]) -> Sequence[EventRow]:
        wanted = [event_id for event_id in dict.fromkeys(event_ids) if is_storable(event_id)]

        def work(connection: Connection) -> list[EventRow]:
            return [
                event_of(row)
                for name in _projects(connection, project)
                for chunk in _chunks(wanted)
                for row in connection.execute(statements.events_by_id(name, chunk))
            ]

        return await self._connections.look(work)

    async def decisions(self, project: str, event_id: str) -> Sequence[DecisionRow]:
        table = event_decisions.c
        query = (
            select(*(table[name] for name in DecisionRow._fields))
            .where(table.project == project, table.target_event_id == event_id)
            .order_by(table.decided_at, table.event_id)
        )

        def work(connection: Connection) -> list[DecisionRow]:
            return [DecisionRow._make(row) for row in connection.execute(query)]

        return await self._connections.look(work)

    async def positions(self) -> Mapping[int, int]:
        query = statements.positions(self._consumer, statements.newest_generation(self._consumer))

        def work(connection: Connection) -> dict[int, int]:
            return {row[0]: row[1] for row in connection.execute(query)}

        return await self._connections.look(work)


def _kind(connection: Connection) -> Kind:
    return "postgresql" if connection.dialect.name == "postgresql" else "sqlite"


def _projects(connection: Connection, project: str | None) -> list[str]:
    return list(connection.scalars(statements.event_projects())) if project is None else [project]


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]
