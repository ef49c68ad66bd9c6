"""The log's records of our own events."""

from typing import NamedTuple

from consumer.types import NewRecord
from schemas.ids import record_key
from schemas.own_events import OwnEvent, record_of
from schemas.records import own_headers
from schemas.times import Micros


class EventRecord(NamedTuple):
    """A record to append, and the id of the event that it tells."""

    event_id: str
    record: NewRecord


def own_record(event: OwnEvent, now: Micros) -> EventRecord:
    """Stamped ``now``. It goes to the partition of its resource, or of the event that it is about."""
    event_id, event_type, subject, body = record_of(event)
    key = record_key(event.project, event.resource_type, event.resource_id, subject)
    headers = own_headers(event_id, event_type, event.project, subject, now)
    return EventRecord(event_id, NewRecord(key, body, headers))
