"""From a record to an outcome: what the event is, what became of it, what it changes. Pure."""

import hashlib
from collections.abc import Mapping, Sequence

from consumer.projection.base import FOREIGN_RECORD, Decision, Outcome
from consumer.types import Project, Record
from handlers.registry import handler_for
from schemas.events import Delivery, Event, Failure, unread_event
from schemas.ids import derived_event_id
from schemas.own_events import EventDiscarded, EventRedriven
from schemas.reading import read
from schemas.records import read_delivery

HANDLER_ERROR = "handler_error"
FOREIGN_PROJECT = "unknown"
"""The project that records without our headers are filed under."""


class Interpreter:
    """Reads deliveries by the rules of the configured projects; the same answer for the same delivery.

    A project that is no longer configured is read without rules of its own: its history stays.
    """

    def __init__(self, projects: Mapping[str, Project]) -> None:
        self._expected = {
            name: project.voucherify_project_id
            for name, project in projects.items()
            if project.voucherify_project_id is not None
        }

    def __call__(self, delivery: Delivery, offset: int) -> Outcome:
        event = read(delivery)
        if event.failure is None:
            expected = self._expected.get(event.project)
            if expected is not None and event.source == "voucherify":
                event = _checked_project(event, expected)
        if event.failure is not None:
            return Outcome(event, "failed", (), delivery.body, offset)
        if isinstance(event.data, EventRedriven | EventDiscarded):
            return Outcome(event, "applied", (), delivery.body, offset, _decision(event.data))
        handler = handler_for(event.type, event.source)
        if handler is None:
            return Outcome(event, "ignored", (), delivery.body, offset)
        try:
            return Outcome(event, "applied", handler(event), delivery.body, offset)
        except Exception as error:  # noqa: BLE001 - a handler's bug fails its event; the worker counts them
            reason = f"the handler of {event.type} raised {type(error).__name__}; redrive once it is mended"
            return Outcome(failed(event, HANDLER_ERROR, reason), "failed", (), delivery.body, offset)

    def records(self, records: Sequence[Record]) -> list[Outcome]:
        """The outcomes of ``records``, in their order."""
        return [self.record(record) for record in records]

    def record(self, record: Record) -> Outcome:
        """The outcome of a record of the log. A record that is not ours becomes a failed event."""
        try:
            delivery = read_delivery(record.headers, record.value)
        except ValueError as error:
            return _foreign(record, str(error))
        return self(delivery, record.offset)


def failed(event: Event, code: str, message: str) -> Event:
    """``event`` as one that cannot be applied."""
    return event._replace(data=None, failure=Failure(code, message))


def rejected(outcome: Outcome, *, bare: bool) -> Outcome:
    """The failed event for a record that the database refuses; ``bare`` keeps nothing read from it.

    A bare event has an id derived from its body, so that redeliveries of it are still one event.
    """
    event = outcome.event
    if bare:
        event_id = derived_event_id(event.project, None, outcome.body)
        event = unread_event(event.project, "voucherify", event_id, event.received_at)
    message = "the database refuses a value of this event; its text is in the stored payload"
    return Outcome(failed(event, "rejected_by_database", message), "failed", (), outcome.body, outcome.offset)


def digest(record: Record) -> bytes:
    """A fingerprint of the record's content: 32 bytes, equal only for equal key, value and headers."""
    hasher = hashlib.sha256()
    parts = [record.key, record.value]
    for name, value in record.headers:
        parts += (name.encode(), value)
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.digest()


def _decision(own: EventRedriven | EventDiscarded) -> Decision:
    return Decision(
        action="redriven" if isinstance(own, EventRedriven) else "discarded",
        target_event_id=own.target_event_id,
        decided_at=own.evidence_at,
        who=own.requested_by,
        reason=own.reason,
    )


def _checked_project(event: Event, expected: str) -> Event:
    if event.voucherify_project is None or event.voucherify_project == expected:
        return event
    return failed(
        event,
        "wrong_project",
        f"the body names another Voucherify project ({event.voucherify_project}), expected {expected}",
    )


def _foreign(record: Record, reason: str) -> Outcome:
    event_id = derived_event_id(FOREIGN_PROJECT, None, digest(record))
    event = unread_event(FOREIGN_PROJECT, "voucherify", event_id, 0)
    return Outcome(failed(event, FOREIGN_RECORD, reason), "failed", (), record.value, record.offset)
