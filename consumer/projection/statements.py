"""The reader's queries, as SQLAlchemy builds them; each is made for an index of ``tables``."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    Subquery,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)

from consumer.projection.base import EventQuery
from consumer.projection.engines import Kind
from consumer.projection.rows import ENTRY_COLUMNS, EVENT_COLUMNS
from consumer.projection.tables import (
    LISTED,
    NOT_LISTED,
    OTHER_PROVISIONAL,
    TROUBLED,
    bin_entries,
    checkpoints,
    counts,
    events,
)
from schemas.events import RESOURCE_TYPES
from schemas.ids import OWN_EVENT_END, OWN_EVENT_PREFIX

_entry = bin_entries.c
_event = events.c
_checkpoint = checkpoints.c

_ENTRY: Final = tuple(_entry[name] for name in ENTRY_COLUMNS[:-2])
_EVENT_WITHOUT_BODY: Final = tuple(_event[name] for name in EVENT_COLUMNS[:-1])
_COMPARED: Final = ("status", "type", "failure_code", "channel", "resource_type", "resource_id")
_SEARCHED: Final = ("event_id", "group_id", "resource_id", "resource_name", "failure_message")

_IS_LISTED: Final[ColumnElement[bool]] = literal_column(LISTED).self_group()
_IS_NOT_LISTED: Final[ColumnElement[bool]] = literal_column(NOT_LISTED).self_group()
_HAS_OTHER_PROVISIONAL: Final[ColumnElement[bool]] = literal_column(OTHER_PROVISIONAL).self_group()
_OF_ANY_TYPE: Final = _entry.resource_type.in_([literal_column(f"'{name}'") for name in RESOURCE_TYPES])
"""Lets the listing's index, whose second column is the type, find a sort key."""


def entries_by_id(project: str, entry_id: str) -> Select[Any]:
    """The entry that is, or was, shown under an id; the best match alone."""
    ways: tuple[tuple[ColumnElement[bool], ...], ...] = (
        (_entry.entry_id == entry_id,),
        (_entry.provisional_id == entry_id, _HAS_OTHER_PROVISIONAL),
        (_entry.sort_key == entry_id, _OF_ANY_TYPE, _IS_LISTED),
        (_entry.sort_key == entry_id, _IS_NOT_LISTED),
    )
    found: Subquery = union_all(
        *(
            select(*_ENTRY, literal_column(str(rank), Integer).label("rank")).where(
                _entry.project == project, *way
            )
            for rank, way in enumerate(ways)
        )
    ).subquery()
    columns = [found.c[column.name] for column in _ENTRY]
    return select(*columns).order_by(found.c.rank, found.c.resource_type, found.c.resource_id).limit(1)


def event_projects() -> Select[Any]:
    """The projects that have events: one step through the index for each, however many events there are."""
    first = select(func.min(_event.project).label("project")).cte("projects", recursive=True)
    following = (
        select(func.min(_event.project))
        .where(_event.project > first.c.project)
        .correlate(first)
        .scalar_subquery()
    )
    projects = first.union_all(select(following).where(first.c.project.is_not(None)))
    return select(projects.c.project).where(projects.c.project.is_not(None))


def page_of_events(project: str, query: EventQuery, kind: Kind) -> Select[Any]:
    """One page of one project's events, newest first."""
    statement = select(*_EVENT_WITHOUT_BODY).where(*_matching(project, query, kind))
    if query.after is not None:
        statement = statement.where(_follows(project, *query.after))
    return statement.order_by(_event.received_at.desc(), _event.event_id.desc()).limit(query.limit)


def count_of_events(project: str, query: EventQuery, kind: Kind) -> Select[Any]:
    """Status, failure code and how many of one project's events match, whichever page they are on."""
    of = (_event.status, _event.failure_code)
    return select(*of, func.count()).where(*_matching(project, query, kind)).group_by(*of)


def events_by_id(project: str, event_ids: Sequence[str]) -> Select[Any]:
    """One project's events of these ids, without their payloads."""
    return select(*_EVENT_WITHOUT_BODY).where(_event.project == project, _event.event_id.in_(event_ids))


def one_event(projects: list[str], event_id: str) -> Select[Any]:
    """An event with its payload."""
    return (
        select(events)
        .where(_event.project.in_(projects), _event.event_id == event_id)
        .order_by(_event.project)
        .limit(1)
    )


def newest_delivery(project: str) -> Select[Any]:
    """When the project's newest verified delivery was received.

    A first load may put a million own events after it: told by their ids, they are passed in the index alone.
    """
    return (
        select(_event.received_at)
        .where(
            _event.project == project,
            or_(_event.event_id < OWN_EVENT_PREFIX, _event.event_id >= OWN_EVENT_END),
        )
        .order_by(_event.received_at.desc(), _event.event_id.desc())
        .limit(1)
    )


def count_totals() -> Select[Any]:
    """Kind, project, resource type, state and how many."""
    of = (counts.c.kind, counts.c.project, counts.c.resource_type, counts.c.state)
    return select(*of, func.sum(counts.c.rows)).group_by(*of)


def newest_generation(consumer: str) -> ScalarSelect[int]:
    """The generation that is asked, where none is named."""
    return select(func.max(_checkpoint.generation)).where(_checkpoint.consumer == consumer).scalar_subquery()


def positions(consumer: str, generation: int | ScalarSelect[int]) -> Select[int, int]:
    """Partition and first offset that is not applied yet."""
    return select(_checkpoint.log_partition, _checkpoint.next_offset).where(
        _checkpoint.consumer == consumer, _checkpoint.generation == generation
    )


def _matching(project: str, query: EventQuery, kind: Kind) -> list[ColumnElement[bool]]:
    asked = {name: getattr(query, name) for name in _COMPARED}
    conditions: list[ColumnElement[bool]] = [
        _event.project == project,
        *(_event[name] == value for name, value in asked.items() if value is not None),
    ]
    if query.status in {"failed", "discarded"}:
        conditions.append(literal_column(TROUBLED).self_group())
    if query.received_from is not None:
        conditions.append(_event.received_at >= query.received_from)
    if query.received_until is not None:
        conditions.append(_event.received_at < query.received_until)
    if query.text is not None:
        where = func.instr if kind == "sqlite" else func.strpos
        conditions.append(or_(*(where(_event[name], query.text) > 0 for name in _SEARCHED)))
    return conditions


def _follows(project: str, received_at: int, last_project: str, event_id: str) -> ColumnElement[bool]:
    # Across projects the order is (received_at, project, event id), descending.
    if project == last_project:
        position = tuple_(literal(received_at), literal(event_id))
        return tuple_(_event.received_at, _event.event_id) < position
    if project < last_project:
        return _event.received_at <= received_at
    return _event.received_at < received_at
