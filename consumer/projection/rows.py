"""Rows of the tables as values of the program, and back."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from consumer.projection.base import EventRow, HeldEntry, Outcome
from consumer.projection.tables import bin_entries, events
from handlers.changes import Entry, Fields, ResourceKey
from schemas.times import Micros

Row: TypeAlias = Sequence[Any]
"""The columns of a table in its order."""

EventKey: TypeAlias = tuple[str, str]
"""Project, event id."""

ENTRY_COLUMNS: Final = tuple(column.name for column in bin_entries.columns)
EVENT_COLUMNS: Final = tuple(column.name for column in events.columns)


def entry_row(entry: Entry, partition: int, offset: int) -> tuple[Any, ...]:
    """The row of ``bin_entries`` that holds ``entry``."""
    return (
        *entry.key,
        entry.sort_key,
        entry.provisional_id,
        entry.entry_id,
        entry.state,
        entry.evidence_at,
        entry.evidence_event_id,
        *(entry.fields or _NO_FIELDS),
        entry.snapshot_event_id,
        entry.snapshot_occurred_at,
        entry.observed_at,
        entry.observed_event_id,
        partition,
        offset,
    )


def held_entry(row: Row) -> HeldEntry:
    """The entry in a row of ``bin_entries``."""
    *values, partition, offset = row
    return HeldEntry(entry_of(values), partition, offset)


def entry_of(row: Row) -> Entry:
    """The entry in a row of ``bin_entries``, whose last two columns may be missing."""
    created_at = row[9]
    fields = None if created_at is None else Fields(created_at, row[10], row[11], row[12])
    return Entry(
        ResourceKey(row[0], row[1], row[2]),
        sort_key=row[3],
        provisional_id=row[4],
        entry_id=row[5],
        state=row[6],
        evidence_at=row[7],
        evidence_event_id=row[8],
        fields=fields,
        snapshot_event_id=row[13],
        snapshot_occurred_at=row[14],
        observed_at=row[15],
        observed_event_id=row[16],
    )


def event_row(
    outcome: Outcome, *, attempts: int, deliveries: int, partition: int, payload: bytes
) -> tuple[Any, ...]:
    """The row of ``events`` for an event whose content is that of ``outcome``."""
    event = outcome.event
    code, message = event.failure or _NO_FAILURE
    return (
        event.project,
        event.event_id,
        event.source,
        event.type,
        event.occurred_at,
        event.received_at,
        event.delivery_id,
        event.voucherify_project,
        event.channel,
        event.group_id,
        event.user_id,
        event.resource_type,
        event.resource_id,
        event.resource_name,
        outcome.status,
        code,
        message,
        attempts,
        deliveries,
        partition,
        outcome.offset,
        payload,
    )


def event_of(row: Row, body: bytes | None = None) -> EventRow:
    """The event in a row of ``events``, whose payload is left aside."""
    return EventRow._make((*row[:_PAYLOAD], body))


class StoredEvent(NamedTuple):
    """What a redelivery of an event is held against."""

    project: str
    event_id: str
    received_at: Micros
    delivery_id: str
    resource_type: str | None
    resource_id: str | None
    status: str
    failure_code: str | None
    """Of a discarded event too: its content could not be applied."""
    attempts: int
    deliveries: int
    """0: only a decision about it has come so far."""
    payload: bytes


_PAYLOAD: Final = EVENT_COLUMNS.index("payload")
_NO_FIELDS: Final = (None, None, None, None)
_NO_FAILURE: Final = (None, None)
