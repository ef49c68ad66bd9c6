"""What all handlers read of an event in the same way."""

from schemas.events import Event
from schemas.times import Micros


def evidence_at(event: Event) -> Micros:
    """When the event was true at Voucherify: its own time, but neither after its receipt nor before 1970.

    So a wrong clock elsewhere cannot outweigh later evidence for ever.
    """
    return max(0, min(event.occurred_at, event.received_at))


def deleted_by(event: Event) -> str | None:
    """The user that the bin shows: Voucherify names one only for what was deleted in its dashboard."""
    return event.user_id or None if event.channel == "USER_PORTAL" else None
