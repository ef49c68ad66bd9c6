"""The headers of a record: CloudEvents in binary mode, and what else the fold needs beside the body.

The only place that writes or reads them. ``ce_source`` says who wrote a record: ``binmirror`` marks our
own events, ``voucherify/<project>`` a webhook as received. Bodies never decide that.

Header values are UTF-8. Text from a request's path may hold what UTF-8 does not (lone surrogates): it is
written so that it reads back the same.
"""

from typing import Final, TypeAlias

from schemas.events import Delivery, Event
from schemas.times import MAX_MICROS, Micros, format_time

Headers: TypeAlias = tuple[tuple[str, bytes], ...]

CE_SPECVERSION: Final = "ce_specversion"
CE_ID: Final = "ce_id"
CE_SOURCE: Final = "ce_source"
CE_TYPE: Final = "ce_type"
CE_TIME: Final = "ce_time"
CE_SUBJECT: Final = "ce_subject"
"""The resource's id, or the target event's; absent where there is none."""
CONTENT_TYPE: Final = "content-type"
PROJECT: Final = "project"
RECEIVED_AT: Final = "received-at"
"""Microseconds since the Unix epoch, as decimal text."""
DELIVERY_ID: Final = "delivery-id"
"""``whs_…``; absent when the body names none."""
EVENT_NAME: Final = "event-name"
"""As in the request's path; absent when the path names none."""
SIGNATURE: Final = "voucherify-signature"
"""As received."""

OWN_SOURCE: Final = "binmirror"
ENTRY_CHANGED: Final = "binmirror.entry.changed"
ENTRY_REMOVED: Final = "binmirror.entry.removed"
"""``ce_type`` in the topic of entries, of values and of tombstones."""
UNKNOWN_TYPE: Final = "unknown"
"""``ce_type`` of a delivery whose type cannot be read: CloudEvents wants one."""

_VERSION: Final = (CE_SPECVERSION, b"1.0")
_JSON: Final = (CONTENT_TYPE, b"application/json")
_WEBHOOK_SOURCE: Final = b"voucherify/"
_OWN_SOURCE: Final = OWN_SOURCE.encode()
_MAX_DIGITS: Final = len(str(MAX_MICROS))


def webhook_headers(event: Event, *, event_name: str | None, signature: bytes) -> Headers:
    """The headers of a webhook delivery that reads as ``event``.

    ``event_name`` is the path's, None if the path had none; ``signature`` the header's bytes as received.
    """
    project = event.project.encode()
    headers = [
        _VERSION,
        (CE_ID, event.event_id.encode()),
        (CE_SOURCE, _WEBHOOK_SOURCE + project),
        (CE_TYPE, (event.type or UNKNOWN_TYPE).encode()),
        (CE_TIME, format_time(event.occurred_at).encode()),
        _JSON,
        (PROJECT, project),
        (RECEIVED_AT, b"%d" % event.received_at),
        (SIGNATURE, signature),
    ]
    if event.resource_id is not None:
        headers.append((CE_SUBJECT, event.resource_id.encode()))
    if event.delivery_id:
        headers.append((DELIVERY_ID, event.delivery_id.encode()))
    if event_name is not None:
        headers.append((EVENT_NAME, event_name.encode("utf-8", "surrogatepass")))
    return tuple(headers)


def own_headers(
    event_id: str,
    event_type: str,
    project: str,
    subject: str,
    received_at: Micros,
) -> Headers:
    """The headers of an own event, as its builder in ``schemas.own_events`` names the parts."""
    return (
        _VERSION,
        (CE_ID, event_id.encode()),
        (CE_SOURCE, _OWN_SOURCE),
        (CE_TYPE, event_type.encode()),
        (CE_TIME, format_time(received_at).encode()),
        (CE_SUBJECT, subject.encode()),
        _JSON,
        (PROJECT, project.encode()),
        (RECEIVED_AT, b"%d" % received_at),
    )


def entry_headers(
    key: bytes, project: str, position: str, moment: Micros | None, *, removed: bool
) -> Headers:
    """The headers of a record in the topic of entries.

    ``position`` of the log's record that made the change: with the key it is the id, so that a change that is
    published again has the id that it had. ``moment``: the time of what the entry's state rests on.
    """
    event_type = ENTRY_REMOVED if removed else ENTRY_CHANGED
    headers = [
        _VERSION,
        (CE_ID, b"%s@%s%s" % (key, position.encode(), b"/removed" if removed else b"")),
        (CE_SOURCE, _OWN_SOURCE),
        (CE_TYPE, event_type.encode()),
        (CE_SUBJECT, key),
        (PROJECT, project.encode()),
    ]
    if moment is not None:
        headers.append((CE_TIME, format_time(moment).encode()))
    if not removed:
        headers.append(_JSON)
    return tuple(headers)


def read_delivery(headers: Headers, value: bytes) -> Delivery:
    """The delivery that a record holds.

    Raises:
        ValueError: a foreign record: it does not have our headers, or they contradict each other.

    """
    found = dict(headers)
    try:
        source, project, received = found[CE_SOURCE], found[PROJECT], found[RECEIVED_AT]
    except KeyError as error:
        raise ValueError(f"not a record of binmirror: it has no header {error.args[0]!r}") from None
    received_at = _moment(received)
    try:
        if source == _OWN_SOURCE:
            event_type = found.get(CE_TYPE, b"").decode()
            return Delivery(project.decode(), "binmirror", event_type, received_at, value)
        if source != _WEBHOOK_SOURCE + project:
            raise ValueError(
                f"not a record of binmirror: header {CE_SOURCE!r} is {source!r}, project {project!r}"
            )
        path_name = found.get(EVENT_NAME)
        event_name = None if path_name is None else path_name.decode("utf-8", "surrogatepass")
        return Delivery(project.decode(), "voucherify", event_name, received_at, value)
    except UnicodeDecodeError as error:
        raise ValueError(f"not a record of binmirror: a header is not UTF-8 ({error.reason})") from None


def _moment(text: bytes) -> Micros:
    # The length is checked first: int() of a huge text is slow. isdigit() of bytes knows ASCII alone.
    if len(text) <= _MAX_DIGITS and text.isdigit():
        moment = int(text)
        if moment <= MAX_MICROS:
            return moment
    raise ValueError(f"not a record of binmirror: header {RECEIVED_AT!r} is no time: {text[:40]!r}")
