"""What a record of the log says, once read: an event, or the reason why it is none."""

from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from schemas.times import Micros

Source: TypeAlias = Literal["voucherify", "binmirror"]
"""Who wrote the record. Only the record's own headers say so, never a body: a webhook cannot pose as us."""

State: TypeAlias = Literal["deleted", "in_bin", "vanished", "purged"]
"""Of an entry. deleted: a webhook said so. in_bin: Voucherify's bin confirmed it. vanished: no longer there,
gone for good. purged: deleted for good through us."""

EventStatus: TypeAlias = Literal["applied", "ignored", "failed", "discarded"]
"""What became of an event here."""
EVENT_STATUSES: Final[tuple[EventStatus, ...]] = get_args(EventStatus)

ResourceType: TypeAlias = Literal["campaign", "product", "sku", "voucher"]
RESOURCE_TYPES: Final[tuple[ResourceType, ...]] = get_args(ResourceType)


class Delivery(NamedTuple):
    """One record of the log as its headers and value give it: all that a fold may look at."""

    project: str
    """Our immutable project name (of the configuration)."""
    source: Source
    event_name: str | None
    """The event's name from the request's path (webhooks), or the record's type (own events)."""
    received_at: Micros
    """The receiver's one clock reading."""
    body: bytes
    """Raw, as received and signed."""


class Failure(NamedTuple):
    """Why an event cannot be applied: a stable code for machines, a sentence for people."""

    code: str
    message: str


class Event(NamedTuple):
    """An event as read from a delivery. With ``failure`` set, the other fields hold what could be read.

    All text is storable: no NUL, no lone surrogates, ids within their bounds.
    """

    project: str
    source: Source
    event_id: str
    type: str
    """For example ``voucher.deleted``; empty when unknown."""
    occurred_at: Micros
    """``event.created_at``; ``received_at`` where nothing names a time."""
    received_at: Micros
    delivery_id: str
    """``whs_…``, one send-out of Voucherify's; empty when unknown."""
    voucherify_project: str | None
    """``project_id`` in the body."""
    channel: str | None
    group_id: str | None
    """``v-…``: the API request behind the event, the dashboard's log id."""
    user_id: str | None
    resource_type: str | None
    resource_id: str | None
    resource_name: str | None
    data: Any
    """What the type's handler reads: ``schemas.webhooks.WebhookData``, or a model of ``schemas.own_events``;
    None on failure."""
    failure: Failure | None


def unread_event(
    project: str,
    source: Source,
    event_id: str,
    received_at: Micros,
    *,
    event_type: str = "",
    failure: Failure | None = None,
) -> Event:
    """An event of which only this is known: nothing could be read of it, or it has not come yet."""
    return Event(
        project=project,
        source=source,
        event_id=event_id,
        type=event_type,
        occurred_at=received_at,
        received_at=received_at,
        delivery_id="",
        voucherify_project=None,
        channel=None,
        group_id=None,
        user_id=None,
        resource_type=None,
        resource_id=None,
        resource_name=None,
        data=None,
        failure=failure,
    )
