"""Our own events: what binmirror itself learns or does, written to the log beside the webhooks.

Three say something about an entry (found in Voucherify's bin, gone from it, deleted for good through us),
two about an event (handle it again, give it up). Each carries the version of its form. Times are integer
microseconds since the Unix epoch.
"""

import hashlib
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import to_json

from schemas.events import Delivery, Event, Failure, ResourceType, unread_event
from schemas.ids import OWN_EVENT_PREFIX, derived_event_id
from schemas.text import Text, is_storable
from schemas.times import MAX_MICROS, MIN_MICROS

OBSERVED: Final = "binmirror.entry.observed"
VANISHED: Final = "binmirror.entry.vanished"
PURGED: Final = "binmirror.entry.purged"
REDRIVEN: Final = "binmirror.event.redriven"
DISCARDED: Final = "binmirror.event.discarded"

_Moment: TypeAlias = Annotated[int, Field(ge=MIN_MICROS, le=MAX_MICROS)]
_Name: TypeAlias = Annotated[Text, Field(min_length=1)]


class _OwnEvent(BaseModel):
    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        # Records are written with all fields.
        json_schema_serialization_defaults_required=True,
    )

    version: Literal[1] = 1
    event_id: Text = ""
    """Made by the builders below."""
    project: _Name
    run_id: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    """The reconcile run, or the request, that made the event: part of its id, so that a second run makes a
    second event."""
    evidence_at: _Moment
    """When this was true at Voucherify: for a reconcile the run's start. For decisions: when taken."""


class _AboutEntry(_OwnEvent):
    resource_type: ResourceType
    resource_id: _Name

    @property
    def subject(self) -> str:
        return self.resource_id

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.project, self.resource_type, self.resource_id)


class EntryObserved(_AboutEntry):
    """An entry seen in Voucherify's bin, with all fields that its API shows."""

    entry_id: _Name
    """Voucherify's own id of the entry (``tbe_…``)."""
    created_at: _Moment
    resource_name: _Name
    resource_parent_id: Text | None = None
    deleted_by_user_id: Text | None = None


class EntryVanished(_AboutEntry):
    """An entry that a complete reading of Voucherify's bin no longer found: gone for good."""


class EntryPurged(_AboutEntry):
    """An entry deleted for good through us: Voucherify has confirmed it."""

    entry_id: Text | None = None
    requested_by: Text | None = None


class _AboutEvent(_OwnEvent):
    target_event_id: _Name
    resource_type: Text | None = None
    """The target's, with ``resource_id``, so that both records have one key; None if it has none."""
    resource_id: Text | None = None
    requested_by: Text | None = None
    reason: Text | None = None

    @property
    def subject(self) -> str:
        return self.target_event_id

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.project, self.target_event_id)


class EventRedriven(_AboutEvent):
    """A failed event is to be handled again."""


class EventDiscarded(_AboutEvent):
    """A failed event is given up."""


OwnEvent: TypeAlias = EntryObserved | EntryVanished | EntryPurged | EventRedriven | EventDiscarded

_MODELS: Final[dict[str, type[OwnEvent]]] = {
    OBSERVED: EntryObserved,
    VANISHED: EntryVanished,
    PURGED: EntryPurged,
    REDRIVEN: EventRedriven,
    DISCARDED: EventDiscarded,
}
_TYPES: Final[dict[type[OwnEvent], str]] = {model: name for name, model in _MODELS.items()}


class OwnRecord(NamedTuple):
    """The parts of a record: ``schemas.records.own_headers`` takes the first three, the value is the last.

    Its key is ``schemas.ids.record_key(project, resource_type, resource_id, event_id)``.
    """

    event_id: str
    type: str
    subject: str
    """The resource's id, or the target event's."""
    body: bytes


def record_of(event: OwnEvent) -> OwnRecord:
    """The record that tells ``event``; its id is made of type, run, and what it is about."""
    event_type = _TYPES[type(event)]
    digest = hashlib.sha256("\x00".join((event_type, *event.identity)).encode()).hexdigest()
    event_id = f"{OWN_EVENT_PREFIX}{event.run_id}_{digest[:32]}"
    # A copy of the model would cost more than all the rest.
    body = to_json({**event.__dict__, "event_id": event_id})
    return OwnRecord(event_id, event_type, event.subject, body)


def read_own_event(delivery: Delivery) -> Event:
    """The event in a record of ours; ``failure`` says why it cannot be applied. Never raises.

    Failure codes: invalid_json, invalid_envelope, unknown_type, wrong_project.
    """
    name = delivery.event_name or ""
    model = _MODELS.get(name)
    if model is None:
        return _unreadable(
            delivery, Failure("unknown_type", f"This version knows no own event {name[:100]!r}.")
        )
    try:
        own = model.model_validate_json(delivery.body)
    except ValidationError as error:
        return _unreadable(delivery, _failure(error))
    if own.project != delivery.project:
        return _unreadable(
            delivery,
            Failure("wrong_project", f"The body names project {own.project!r}, the headers another."),
        )
    if not own.event_id.startswith(OWN_EVENT_PREFIX):
        return _unreadable(delivery, Failure("invalid_envelope", "event_id: not one that binmirror gives"))
    return Event(
        project=delivery.project,
        source="binmirror",
        event_id=own.event_id,
        type=name,
        occurred_at=own.evidence_at,
        received_at=delivery.received_at,
        delivery_id="",
        voucherify_project=None,
        channel=None,
        group_id=own.run_id,
        user_id=None,
        resource_type=own.resource_type,
        resource_id=own.resource_id,
        resource_name=own.resource_name if isinstance(own, EntryObserved) else None,
        data=own,
        failure=None,
    )


def _failure(error: ValidationError) -> Failure:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return Failure("invalid_json", first["msg"])
    return Failure("invalid_envelope", f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}")


def _unreadable(delivery: Delivery, failure: Failure) -> Event:
    name = delivery.event_name or ""
    return unread_event(
        delivery.project,
        "binmirror",
        derived_event_id(delivery.project, name, delivery.body),
        delivery.received_at,
        event_type=name if is_storable(name) else "",
        failure=failure,
    )
