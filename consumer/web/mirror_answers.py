"""Entries, events and numbers in their wire form."""

from collections import Counter
from typing import Any, Final

from consumer.projection.base import EventRow
from consumer.projection.mirror_base import EventPage, Stats
from consumer.web.cursors import event_cursor_text
from handlers.changes import Entry
from schemas.mirror import (
    EntryView,
    EventsPage,
    EventSummary,
    EventView,
    FailureCount,
    PartitionLag,
    PeriodCount,
    SnapshotView,
    StateCount,
    StatsView,
    StatusCount,
)
from schemas.snapshots import read_snapshot, readable
from schemas.times import DAY, HOUR, SECOND, Micros, format_time
from schemas.trash_bin import render_entry


def event_summary(row: EventRow) -> EventSummary:
    return EventSummary(**_event(row))


def event_view(row: EventRow) -> EventView:
    return EventView(**_event(row), data=None if row.body is None else readable(row.body))


def events_page(page: EventPage) -> EventsPage:
    more = page.more_after
    return EventsPage(
        data=[event_summary(row) for row in page.events],
        total=len(page.events),
        has_more=more is not None,
        more_after=None if more is None else event_cursor_text(more),
    )


def entry_view(entry: Entry, snapshot: EventRow | None, history: EventPage) -> EntryView:
    """``snapshot``: the event that tells of the deletion, with its body."""
    more = history.more_after
    return EntryView(
        **render_entry(entry),
        state=entry.state,
        state_at=format_time(entry.evidence_at),
        state_event_id=entry.evidence_event_id,
        voucherify_id=entry.entry_id,
        provisional_id=entry.provisional_id,
        snapshot=None if snapshot is None else _snapshot(snapshot),
        events=[event_summary(row) for row in history.events],
        more_events_after=None if more is None else event_cursor_text(more),
    )


def stats_view(stats: Stats, now: Micros, since: Micros, hours: int) -> StatsView:
    """``since`` is the start of a day; of the hours the newest ``hours`` are shown."""
    days: Counter[Micros] = Counter()
    for hour, number in stats.received.items():
        days[hour // DAY * DAY] += number
    this_hour = now // HOUR * HOUR
    first = max(since, this_hour - (hours - 1) * HOUR)
    return StatsView(
        at=format_time(now),
        entries=[
            StateCount.model_validate({"resource_type": what, "state": state, "count": number})
            for (what, state), number in sorted(stats.entries.items())
        ],
        events=[
            StatusCount.model_validate({"status": status, "count": number})
            for status, number in sorted(stats.events.items())
        ],
        received_from=format_time(since),
        per_hour=[
            PeriodCount(start=format_time(hour), count=stats.received.get(hour, 0))
            for hour in range(first, this_hour + 1, HOUR)
        ],
        per_day=[
            PeriodCount(start=format_time(each), count=days[each]) for each in range(since, now + 1, DAY)
        ],
        failures=[FailureCount(failure_code=code, count=n) for code, n in sorted(stats.failures.items())],
        partitions=[
            PartitionLag(
                partition=reach.partition,
                next_offset=reach.next_offset,
                caught_up_at=None if reach.caught_up_at is None else format_time(reach.caught_up_at),
                behind_seconds=None if reach.behind is None else max(0, reach.behind) / SECOND,
            )
            for reach in stats.partitions
        ],
    )


def _snapshot(row: EventRow) -> SnapshotView:
    data = read_snapshot(row.body or b"", row.type)
    return SnapshotView(
        event_id=row.event_id,
        occurred_at=format_time(row.occurred_at),
        voucher=data.voucher,
        campaign=data.campaign,
        redemption=data.redemption,
        metadata=data.metadata,
    )


def _event(row: EventRow) -> dict[str, Any]:
    facts = row._asdict()
    return {
        **{name: facts[name] for name in _AS_THEY_ARE},
        "id": row.event_id,
        "occurred_at": format_time(row.occurred_at),
        "received_at": format_time(row.received_at),
        "delivery_id": row.delivery_id or None,
    }


_AS_THEY_ARE: Final = (
    "type",
    "group_id",
    "channel",
    "user_id",
    "resource_type",
    "resource_id",
    "resource_name",
    "source",
    "status",
    "failure_code",
    "failure_message",
    "attempts",
    "deliveries",
    "partition",
    "offset",
)
