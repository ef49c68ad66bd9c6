"""A webhook delivery, read as an event: three forms of body, one result, and never an exception.

Forms, as Voucherify sends them (``schemas.forms`` tells them apart):

- current: ``id`` names the send-out, ``event.id`` what happened.
- old (``object`` is ``"event"``): ``id`` names what happened; ``data.object`` is the voucher or campaign.
- data only: the ``data`` member alone; only the request's path can name the event.

An event without an id gets one derived from its body, and its time is the time of receipt. Fields that
the event's type does not use are never a reason to refuse it.
"""

import re
from typing import Final, NamedTuple, TypeAlias

from schemas.envelope import (
    Campaign,
    Data,
    EnvelopeData,
    EventSource,
    Parsed,
    Voucher,
    WebhookBody,
    WebhookEvent,
    parse,
)
from schemas.events import Delivery, Event, Failure, ResourceType, unread_event
from schemas.forms import Form, first_failure, form_of
from schemas.ids import RESERVED_EVENT_PREFIXES, derived_event_id
from schemas.jsontext import strip_whitespace
from schemas.times import Micros, parse_time


class WebhookData(NamedTuple):
    """What handlers read of a webhook, beside the event's own fields. All text is storable."""

    voucher: Voucher | None
    campaign: Campaign | None
    deleted_at: Micros | None
    """Of ``campaign.deleted``."""


DELETIONS: Final = frozenset({"voucher.deleted", "campaign.deleted"})
"""Types that must name a resource."""

_NO_EVENT: Final[WebhookEvent] = {}
_NO_DATA: Final[EnvelopeData] = {}
_NO_SOURCE: Final[EventSource] = {}
_NO_VOUCHER: Final[Voucher] = {}
_NO_CAMPAIGN: Final[Campaign] = {}
_NO_TYPE: Final = Failure("missing_envelope", "Neither the body nor the URL says which event this is.")
_NO_RESOURCE_ID: Final = Failure("missing_resource_id", "The body does not say what was deleted.")
_SHOWN: Final = 60
"""Characters of a wrong value in a message."""
_PATH_NAME: Final = re.compile(r"[a-z0-9_.]{1,255}")


def read_event(delivery: Delivery) -> Event:
    """The event in a delivery of Voucherify's; ``failure`` says why it cannot be applied. Never raises.

    Failure codes: invalid_json, missing_envelope, invalid_envelope, invalid_time, missing_resource_id,
    unstorable_text.
    """
    name = event_name(delivery.event_name)
    parsed = parse(delivery.body)
    if isinstance(parsed, Failure):
        return _unreadable(delivery, name, parsed)
    form = form_of(parsed, name)
    if form is None:
        return _unreadable(delivery, name, _NO_TYPE)
    return _read(delivery, parsed, form, name)


def event_name(text: str | None) -> str | None:
    """The event's type that a path names: ``EVENTS.VOUCHER.DELETED`` and ``voucher.deleted`` are one."""
    if text is None:
        return None
    name = text.lower().removeprefix("events.")
    return name if _PATH_NAME.fullmatch(name) else None


def _unreadable(delivery: Delivery, name: str | None, failure: Failure) -> Event:
    return unread_event(
        delivery.project,
        "voucherify",
        _derived_id(delivery, name),
        delivery.received_at,
        event_type=name or "",
        failure=failure,
    )


def _read(delivery: Delivery, parsed: Parsed, form: Form, name: str | None) -> Event:
    body = parsed.body
    event = body.get("event") or _NO_EVENT
    event_type = _type_of(body, event, form, name)
    event_id = event.get("id") if form == "current" else body.get("id") if form == "old" else None
    failure = first_failure(parsed, form, event_type) if parsed.problems else None
    if event_id and event_id.startswith(RESERVED_EVENT_PREFIXES):
        failure = failure or Failure("invalid_envelope", f"Only binmirror gives ids like {event_id!r}.")
        event_id = None

    data: Data = body if form == "data_only" else body.get("data") or _NO_DATA
    if form == "old":
        data = _from_old(body, event_type)
    resource = _resource(data, event_type, event.get("entity_id"))
    occurred_at, deleted_at = delivery.received_at, None
    try:
        if event_id and (text := event.get("created_at") or body.get("created_at")):
            occurred_at = _time("created_at", text)
        if event_type == "campaign.deleted" and (text := data.get("deleted_at")):
            deleted_at = _time("deleted_at", text)
    except ValueError as error:
        failure = failure or Failure("invalid_time", str(error))
    if not event_type:
        failure = failure or _NO_TYPE
    elif resource is _NO_RESOURCE and event_type in DELETIONS:
        failure = failure or _NO_RESOURCE_ID
    source = event.get("event_source") or _NO_SOURCE
    user = source.get("user")
    # By position, and past NamedTuple's own constructor: naming sixteen arguments would cost as much as half
    # of the rest of this function.
    values = (
        delivery.project,
        "voucherify",
        event_id or _derived_id(delivery, event_type),
        event_type,
        occurred_at,
        delivery.received_at,
        (body.get("id") or "") if form == "current" else "",  # delivery_id
        None if form == "data_only" else body.get("project_id"),
        source.get("channel"),
        event.get("group_id"),
        user.get("id") if user else None,
        *resource,  # type, id, name
        None if failure else WebhookData(data.get("voucher"), data.get("campaign"), deleted_at),
        failure,
    )
    return tuple.__new__(Event, values)


def _type_of(body: WebhookBody, event: WebhookEvent, form: Form, name: str | None) -> str:
    its_own = body.get("type")
    if form == "data_only":
        return name or event_name(its_own) or its_own or ""
    return its_own or event.get("type") or name or ""


def _time(field: str, text: str) -> Micros:
    try:
        return parse_time(text)
    except ValueError as error:
        raise ValueError(f"{field} {text[:_SHOWN]!r} is no time: {str(error)[:_SHOWN]}") from None


def _derived_id(delivery: Delivery, event_type: str | None) -> str:
    return derived_event_id(delivery.project, event_type, strip_whitespace(delivery.body))


def _from_old(body: WebhookBody, event_type: str) -> Data:
    thing = (body.get("data") or _NO_DATA).get("object")
    if thing is None:
        return _NO_DATA
    if event_type.startswith("voucher."):
        return {
            "voucher": {
                "id": thing.get("id"),
                "code": thing.get("code"),
                "campaign_id": thing.get("campaign_id"),
            }
        }
    return {"campaign": {"id": thing.get("id"), "name": thing.get("name")}}


_Resource: TypeAlias = tuple[ResourceType | None, str | None, str | None]
"""Type, id and name of what the event is about: all three, or none."""

_NO_RESOURCE: Final[_Resource] = (None, None, None)


def _resource(data: Data, event_type: str, entity_id: str | None) -> _Resource:
    if event_type.startswith("voucher."):
        voucher = data.get("voucher") or _NO_VOUCHER
        if resource_id := voucher.get("id") or entity_id:
            return "voucher", resource_id, voucher.get("code") or resource_id
    elif event_type.startswith("campaign."):
        campaign = data.get("campaign") or _NO_CAMPAIGN
        if resource_id := campaign.get("id") or entity_id:
            return "campaign", resource_id, campaign.get("name") or resource_id
    return _NO_RESOURCE
