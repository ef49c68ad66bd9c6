"""Pages of the event log, and numbers, on SQLite and PostgreSQL."""

from functools import partial
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    func,
    literal,
    literal_column,
    select,
    tuple_,
)

from consumer.projection import statements
from consumer.projection.base import CONSUMER, EventQuery
from consumer.projection.database_time import DatabaseNow
from consumer.projection.mirror_base import EventPage, PartitionReach, Stats
from consumer.projection.read_pool import ReadPool
from consumer.projection.rows import event_of
from consumer.projection.tables import TROUBLED, checkpoints, counts, events
from schemas.text import is_storable
from schemas.times import HOUR, Micros

_FAR: Final = 20_000
"""How many events a page looks at: an index for each filter would cost the worker on every event, and without
one a rare type would have the whole log walked through."""
_event = events.c
_NEWEST: Final = (_event.received_at.desc(), _event.event_id.desc())
_PLACE: Final = tuple_(_event.received_at, _event.event_id)


class SqlMirror:
    """See ``MirrorReader``. The pool belongs to whoever gives it."""

    def __init__(self, pool: ReadPool, *, consumer: str = CONSUMER, far: int = _FAR) -> None:
        self._pool = pool
        self._consumer = consumer
        self._far = far

    async def events(self, query: EventQuery) -> EventPage:
        if not all(is_storable(value) for value in query if isinstance(value, str)):
            return EventPage([], None)
        return await self._pool.read(partial(self._events, query))

    async def stats(self, project: str, received_from: Micros, received_until: Micros) -> Stats:
        return await self._pool.read(partial(self._stats, project, received_from, received_until))

    # On the threads

    def _events(self, query: EventQuery, connection: Connection) -> EventPage:
        project = query.project or ""
        page = statements.page_of_events(project, query._replace(limit=query.limit + 1), self._pool.kind)
        end = None
        if query.resource_id is None:
            found = connection.execute(_horizon(project, query, self._far)).first()
            end = None if found is None else (found[0], found[1])
        if end is not None:
            page = page.where(tuple_(*map(literal, end)) <= _PLACE)
        rows = [event_of(row) for row in connection.execute(page)]
        if len(rows) > query.limit:
            last = rows[query.limit - 1]
            return EventPage(rows[: query.limit], (last.received_at, last.event_id))
        return EventPage(rows, end)

    def _stats(
        self, project: str, received_from: Micros, received_until: Micros, connection: Connection
    ) -> Stats:
        totals = [
            (*row[:3], int(row[3]))
            for row in connection.execute(
                select(counts.c.kind, counts.c.resource_type, counts.c.state, func.sum(counts.c.rows))
                .where(counts.c.project == project)
                .group_by(counts.c.kind, counts.c.resource_type, counts.c.state)
            )
        ]
        by_hour = _by_hour(project, received_from, received_until)
        return Stats(
            entries={(what, state): n for kind, what, state, n in totals if kind == "entries" and n},
            events={state: n for kind, _, state, n in totals if kind == "events" and n},
            received={hour: n for hour, n in connection.execute(by_hour) if n},
            failures={code or "": n for code, n in connection.execute(_failures(project, received_from))},
            partitions=[PartitionReach._make(row) for row in connection.execute(_reach(self._consumer))],
        )


def _horizon(project: str, query: EventQuery, far: int) -> Select[Any]:
    """The last event that a page looks at, read from the index alone; none if it comes to the end."""
    conditions: list[ColumnElement[bool]] = [_event.project == project]
    if query.status in {"failed", "discarded"}:
        conditions += [_event.status == query.status, literal_column(TROUBLED).self_group()]
    if query.received_from is not None:
        conditions.append(_event.received_at >= query.received_from)
    if query.received_until is not None:
        conditions.append(_event.received_at < query.received_until)
    if query.after is not None:
        received_at, _, event_id = query.after
        conditions.append(tuple_(literal(received_at), literal(event_id)) > _PLACE)
    return (
        select(_event.received_at, _event.event_id)
        .where(*conditions)
        .order_by(*_NEWEST)
        .offset(far - 1)
        .limit(1)
    )


def _by_hour(project: str, received_from: Micros, received_until: Micros) -> Select[Any]:
    """Each hour is counted in the index by itself: grouping, blind to its order, takes twice the time."""
    hours = select(literal(received_from, BigInteger).label("start")).cte("hours", recursive=True)
    hours = hours.union_all(select(hours.c.start + HOUR).where(hours.c.start + HOUR < received_until))
    start = hours.c.start
    received = select(func.count()).where(
        _event.project == project, _event.received_at >= start, _event.received_at < start + HOUR
    )
    return select(start, received.scalar_subquery())


def _failures(project: str, received_from: Micros) -> Select[Any]:
    return (
        select(_event.failure_code, func.count())
        .where(
            _event.project == project,
            _event.status == "failed",
            literal_column(TROUBLED).self_group(),
            _event.received_at >= received_from,
        )
        .group_by(_event.failure_code)
    )


def _reach(consumer: str) -> Select[Any]:
    table = checkpoints.c
    return (
        select(
            table.log_partition,
            table.next_offset,
            table.caught_up_at,
            (DatabaseNow() - table.caught_up_at).label("behind"),
        )
        .where(table.consumer == consumer, table.generation == statements.newest_generation(consumer))
        .order_by(table.log_partition)
    )
