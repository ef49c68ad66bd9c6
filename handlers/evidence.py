"""What all handlers read of an event in the same way."""

from handlers.changes import Change, Fields, ResourceKey
from schemas.events import Event, State
from schemas.times import Micros


def evidence_at(event: Event) -> Micros:
    """When the event was true at Voucherify: its own time, but neither after its receipt nor before 1970.

    So a wrong clock elsewhere cannot outweigh later evidence for ever.
    """
    return max(0, min(event.occurred_at, event.received_at))


def deleted_by(event: Event) -> str | None:
    """The user that the bin shows: Voucherify names one only for what was deleted in its dashboard."""
    return event.user_id or None if event.channel == "USER_PORTAL" else None


def change_of(
    event: Event, state: State, fields: Fields | None = None, entry_id: str | None = None
) -> tuple[Change, ...]:
    """What the event says of its resource; nothing where it has none."""
    if event.resource_type is None or event.resource_id is None:
        return ()
    change = Change(
        key=ResourceKey(event.project, event.resource_type, event.resource_id),
        state=state,
        event_id=event.event_id,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        evidence_at=evidence_at(event),
        fields=fields,
        entry_id=entry_id,
    )
    return (change,)
