"""What only the mirror tells, on the wire: entries with their history, events, numbers."""

from typing import Any, Literal

from pydantic import BaseModel

from schemas.events import EventStatus, Source, State


class EventSummary(BaseModel):
    """An event, as Voucherify's dashboard shows it, and what became of it here."""

    object: Literal["event"] = "event"
    id: str
    type: str
    occurred_at: str
    group_id: str | None
    """The dashboard's log id: the API request behind the event."""
    channel: str | None
    user_id: str | None
    resource_type: str | None
    resource_id: str | None
    resource_name: str | None
    source: Source
    """Who wrote it."""
    status: EventStatus
    failure_code: str | None
    failure_message: str | None
    attempts: int
    deliveries: int
    delivery_id: str | None
    received_at: str
    partition: int
    offset: int


class EventView(EventSummary):
    """An event with its body."""

    data: Any
    """The body as it came: JSON, or text where it is none."""


class EventsPage(BaseModel):
    """A page of the event log, newest first."""

    object: Literal["list"] = "list"
    data_ref: Literal["data"] = "data"
    data: list[EventSummary]
    total: int
    """Of this page, which may be empty although more follows: a page looks only so far."""
    has_more: bool
    more_after: str | None
    """The next page's ``after``."""


class SnapshotView(BaseModel):
    """What was deleted, as it was at its deletion."""

    event_id: str
    occurred_at: str
    voucher: dict[str, Any] | None
    campaign: dict[str, Any] | None
    redemption: dict[str, Any] | None
    """The voucher's counts."""
    metadata: dict[str, Any] | None
    """The voucher's, else the campaign's."""


class EntryView(BaseModel):
    """An entry of the bin, also one that has left it."""

    id: str
    created_at: str | None
    deleted_by_user_id: str | None
    resource_id: str
    resource_type: str
    resource_name: str | None
    resource_parent_id: str | None
    object: str
    state: State
    state_at: str
    state_event_id: str
    voucherify_id: str | None
    """The entry's id in Voucherify's bin, once known."""
    provisional_id: str | None
    snapshot: SnapshotView | None
    """Null when no event told of the deletion."""
    events: list[EventSummary]
    """Of its resource, newest first: the first page."""
    more_events_after: str | None
    """``after`` for the next page of ``/mirror/v1/events`` with this resource."""


class StateCount(BaseModel):
    """Entries of one type in one state."""

    resource_type: str
    state: State
    count: int


class StatusCount(BaseModel):
    """Events with one status."""

    status: EventStatus
    count: int


class FailureCount(BaseModel):
    """Failed events with one code."""

    failure_code: str
    count: int


class PeriodCount(BaseModel):
    """Events received in one hour or day."""

    start: str
    count: int


class PartitionLag(BaseModel):
    """How far the projection has come in a partition of the log."""

    partition: int
    next_offset: int
    """The first record that is not applied yet."""
    caught_up_at: str | None
    """When the end of the log was last seen."""
    behind_seconds: float | None
    """Since then; null when it was never seen."""


class StatsView(BaseModel):
    """Numbers of one project."""

    object: Literal["stats"] = "stats"
    at: str
    entries: list[StateCount]
    events: list[StatusCount]
    received_from: str
    """Start of the hours and days that are counted."""
    per_hour: list[PeriodCount]
    """Events received; the newest hours, those without any included."""
    per_day: list[PeriodCount]
    failures: list[FailureCount]
    """Of the events received in these days."""
    partitions: list[PartitionLag]
