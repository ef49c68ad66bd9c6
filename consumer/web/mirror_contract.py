"""What entries, events and numbers say of themselves."""

from collections.abc import Sequence
from typing import Any, Final

from consumer.types import READ_PERMISSIONS
from consumer.web.contract.describe import READ_ERRORS, Answer, Content, ErrorAnswer, Operation, Parameter
from consumer.web.cursors import MAX_CURSOR
from consumer.web.freshness import FRESH_ERRORS, FRESH_HEADERS, FRESH_PARAMETERS
from schemas.errors import invalid_query_params, missing_permission, resource_not_found
from schemas.events import EVENT_STATUSES, RESOURCE_TYPES
from schemas.mirror import EntryView, EventsPage, EventView, StatsView
from schemas.text import MAX_TEXT

MAX_EVENTS: Final = 100
"""On one page."""
DEFAULT_EVENTS: Final = 25
MAX_DAYS: Final = 31
DEFAULT_DAYS: Final = 7

_TEXT: Final = {"type": "string", "maxLength": MAX_TEXT, "pattern": r"^[^\x00]*$"}
_TIME: Final = {"type": "string", "format": "date-time"}
_ALL: Final = f"Needs the permissions {', '.join(READ_PERMISSIONS)}."
_COUNT: Final = {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS, "default": DEFAULT_EVENTS}
EVENT_PARAMETERS: Final = tuple(
    Parameter(name=name, place="query", text=text, schema=schema)
    for name, text, schema in (
        ("status", "What became of it.", {"enum": list(EVENT_STATUSES)}),
        ("type", "For example voucher.deleted.", _TEXT),
        ("failure_code", "For example invalid_json.", _TEXT),
        ("channel", "For example USER_PORTAL.", _TEXT),
        ("resource_type", "What it is about.", {"enum": list(RESOURCE_TYPES)}),
        ("resource_id", "Voucherify's id of the resource.", _TEXT),
        ("since", "Received at this time or later; UTC without a zone.", _TIME),
        ("until", "Received before this time.", _TIME),
        ("text", "Occurs in an id, the resource's name or the failure's message.", _TEXT),
        ("limit", "At most so many.", _COUNT),
        ("after", "A page's `more_after`.", {"type": "string", "maxLength": MAX_CURSOR}),
    )
)
_DAYS: Final = Parameter(
    name="days",
    place="query",
    text="How many days, today included.",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_DAYS, "default": DEFAULT_DAYS},
)
_UNKNOWN_PARAMETER: Final = ErrorAnswer(body=invalid_query_params("Property .limit is unknown"))


_EVENT: Final[dict[str, Any]] = {
    "object": "event",
    "id": "evvou_0e451d8bb1100d79dd",
    "type": "voucher.deleted",
    "occurred_at": "2024-05-07T09:15:13.218Z",
    "group_id": "v-0e451d8bb0d00d79da",
    "channel": "USER_PORTAL",
    "user_id": "user_JjB45t4Rpl4t1n0oMRlj6trzXKsh7FGX7",
    "resource_type": "voucher",
    "resource_id": "v_JPfnb5ChY1HdNnaMkA0ikra4gIg0dja6",
    "resource_name": "SUMMER-2026",
    "source": "voucherify",
    "status": "applied",
    "failure_code": None,
    "failure_message": None,
    "attempts": 1,
    "deliveries": 1,
    "delivery_id": "whs_0e451d8bb1100d79de",
    "received_at": "2024-05-07T09:15:14.002Z",
    "partition": 0,
    "offset": 17,
}
_VOUCHER: Final[dict[str, Any]] = {
    "id": "v_JPfnb5ChY1HdNnaMkA0ikra4gIg0dja6",
    "code": "SUMMER-2026",
    "redemption": {"quantity": 1, "redeemed_quantity": 0},
    "metadata": {"season": "summer"},
}
_ENTRY: Final[dict[str, Any]] = {
    "id": "tbe_0eb6515f758ae37126",
    "created_at": "2024-05-07T09:15:13.218Z",
    "deleted_by_user_id": "user_JjB45t4Rpl4t1n0oMRlj6trzXKsh7FGX7",
    "resource_id": "v_JPfnb5ChY1HdNnaMkA0ikra4gIg0dja6",
    "resource_type": "voucher",
    "resource_name": "SUMMER-2026",
    "resource_parent_id": None,
    "object": "voucher",
    "state": "in_bin",
    "state_at": "2024-05-07T09:20:00.000Z",
    "state_event_id": "bmev_run_0e451d8bb1100d79",
    "voucherify_id": "tbe_0eb6515f758ae37126",
    "provisional_id": "tbe_0eb6515f7580a1b2c3d4e5f607",
    "snapshot": {
        "event_id": "evvou_0e451d8bb1100d79dd",
        "occurred_at": "2024-05-07T09:15:13.218Z",
        "voucher": _VOUCHER,
        "campaign": None,
        "redemption": _VOUCHER["redemption"],
        "metadata": _VOUCHER["metadata"],
    },
    "events": [_EVENT],
    "more_events_after": None,
}
_PAGE: Final[dict[str, Any]] = {
    "object": "list",
    "data_ref": "data",
    "data": [_EVENT],
    "total": 1,
    "has_more": False,
    "more_after": None,
}
_STATS: Final[dict[str, Any]] = {
    "object": "stats",
    "at": "2024-05-07T09:30:00.000Z",
    "entries": [{"resource_type": "voucher", "state": "in_bin", "count": 1}],
    "events": [{"status": "applied", "count": 2}],
    "received_from": "2024-05-07T00:00:00.000Z",
    "per_hour": [{"start": "2024-05-07T09:00:00.000Z", "count": 2}],
    "per_day": [{"start": "2024-05-07T00:00:00.000Z", "count": 2}],
    "failures": [],
    "partitions": [
        {
            "partition": 0,
            "next_offset": 18,
            "caught_up_at": "2024-05-07T09:29:59.500Z",
            "behind_seconds": 0.5,
        }
    ],
}


def _operation(
    name: str,
    summary: str,
    text: str,
    content: Content,
    *,
    parameters: Sequence[Parameter] = (),
    errors: Sequence[ErrorAnswer] = (_UNKNOWN_PARAMETER,),
) -> Operation:
    return Operation(
        name=name,
        tag="mirror",
        summary=summary,
        text=text,
        parameters=(*parameters, *FRESH_PARAMETERS),
        answers={200: Answer(text=summary, headers=FRESH_HEADERS, content=[content])},
        errors=(*READ_ERRORS, *FRESH_ERRORS, ErrorAnswer(body=missing_permission()), *errors),
    )


SHOW_ENTRY: Final = _operation(
    "show_entry",
    "Show an entry and its history",
    "An entry by any id that it ever had, also one that has left the bin: what was deleted, as it was at "
    "its deletion, and the events of its resource. Needs the read permission of its type.",
    Content(shape=EntryView, example=_ENTRY),
    parameters=(Parameter(name="entry_id", place="path", text="The entry's id.", schema=_TEXT),),
    errors=(
        _UNKNOWN_PARAMETER,
        ErrorAnswer(body=resource_not_found("bin_entry", "tbe_0eb6515f758ae37126")),
    ),
)
LIST_EVENTS: Final = _operation(
    "list_events",
    "List events",
    "The event log, newest first. A page looks only so far: it may be short, or empty, although `has_more` "
    f"is true. {_ALL}",
    Content(shape=EventsPage, example=_PAGE),
    parameters=EVENT_PARAMETERS,
    errors=(
        ErrorAnswer(
            body=invalid_query_params(f"Property .limit should be a whole number from 1 to {MAX_EVENTS}")
        ),
    ),
)
SHOW_EVENT: Final = _operation(
    "show_event",
    "Show an event with its body",
    _ALL,
    Content(shape=EventView, example={**_EVENT, "data": {"type": "voucher.deleted"}}),
    parameters=(Parameter(name="event_id", place="path", text="The event's id.", schema=_TEXT),),
    errors=(
        _UNKNOWN_PARAMETER,
        ErrorAnswer(body=resource_not_found("event", "evvou_0e451d8bb1100d79dd")),
    ),
)
SHOW_STATS: Final = _operation(
    "show_stats",
    "Count entries and events",
    f"Entries by type and state, events by status, hour and day, failures, lag. {_ALL}",
    Content(shape=StatsView, example=_STATS),
    parameters=(_DAYS,),
    errors=(
        ErrorAnswer(
            body=invalid_query_params(f"Property .days should be a whole number from 1 to {MAX_DAYS}")
        ),
    ),
)
