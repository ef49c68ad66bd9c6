"""How the routes of changes are described."""

from typing import Final

from consumer.types import READ_PERMISSIONS
from consumer.web.contract.describe import (
    READ_ERRORS,
    RETRY_HEADER,
    Answer,
    Content,
    ErrorAnswer,
    Operation,
    Parameter,
)
from consumer.web.cursors import MAX_CURSOR
from consumer.web.freshness import FRESH_ERRORS, FRESH_HEADERS, FRESH_PARAMETERS
from schemas.changes import ChangesView
from schemas.errors import cursor_expired, invalid_query_params, missing_permission, service_unavailable

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1_000

_AFTER: Final = Parameter(
    name="after",
    place="query",
    text="`beginning`: all entries, then what changes. `now`: what changes from now on. Else a cursor.",
    schema={"type": "string", "minLength": 1, "maxLength": MAX_CURSOR, "default": "beginning"},
    example="now",
)
_TEXT: Final = (
    "An entry that changes again is told again; states in between may be left out. A change replaces what a "
    "copy holds of the resource; `withdrawn` removes it. A follower that starts at the beginning and has "
    "been told that there is no more holds a copy of the bin, entries that have left it included. "
    f"Needs the permissions {', '.join(READ_PERMISSIONS)}."
)
_CURSOR: Final = "1BWxvZy0xEjEtOWY4NmQwODE4ODRjN2Q2NQAAEbMTl-0"
_ERRORS: Final = (
    *READ_ERRORS,
    *FRESH_ERRORS,
    ErrorAnswer(body=missing_permission()),
    ErrorAnswer(body=cursor_expired("The cursor belongs to another event log")),
    ErrorAnswer(
        body=invalid_query_params(
            "Property .after should be beginning, now or a cursor from an earlier answer: it is no cursor of "
            "this service"
        )
    ),
)
_EXAMPLE: Final = {
    "object": "list",
    "data_ref": "data",
    "data": [
        {
            "object": "change",
            "state": "in_bin",
            "id": "tbe_0eb6515f758ae37126",
            "resource_type": "voucher",
            "resource_id": "v_JPfnb5ChY1HdNnaMkA0ikra4gIg0dja6",
            "resource_name": "Trash-Discount-123",
            "resource_parent_id": "camp_ITQtKkrPOxL1a55uSU7tqbCL",
            "created_at": "2024-05-07T09:15:13.218Z",
            "deleted_by_user_id": None,
            "position": {"partition": 0, "offset": 16},
        }
    ],
    "total": 1,
    "next": _CURSOR,
    "has_more": False,
}

LIST_CHANGES: Final = Operation(
    name="list_changes",
    tag="changes",
    summary="What changed since",
    text=f"The entries that changed after a cursor. {_TEXT}",
    parameters=(
        _AFTER,
        Parameter(
            name="limit",
            place="query",
            text="How many changes a page has, about: what one event changed is never split.",
            schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            example=500,
        ),
        *FRESH_PARAMETERS,
    ),
    answers={
        200: Answer(
            text="A page. It may be empty although there is more.",
            headers=FRESH_HEADERS,
            content=[Content(shape=ChangesView, example=_EXAMPLE)],
        )
    },
    errors=(
        *_ERRORS,
        ErrorAnswer(
            body=invalid_query_params(f"Property .limit should be a whole number from 1 to {MAX_LIMIT}")
        ),
    ),
)

STREAM_CHANGES: Final = Operation(
    name="stream_changes",
    tag="changes",
    summary="What changes, as it changes",
    text=(
        "The same as Server-Sent Events: `changes`, whose data is a page and whose id is its cursor, and "
        "`problem`, whose data is an error, before a stream that cannot go on ends. A comment now and then "
        f"shows that the stream lives. {_TEXT}"
    ),
    parameters=(
        _AFTER,
        Parameter(
            name="Last-Event-ID",
            place="header",
            text="Where a stream broke off; counts more than `after`.",
            schema={"type": "string", "maxLength": MAX_CURSOR},
        ),
        *FRESH_PARAMETERS,
    ),
    answers={
        200: Answer(
            text="A stream that does not end.",
            headers=FRESH_HEADERS,
            content=[Content(schema={}, media_type="text/event-stream")],
        )
    },
    errors=(
        *_ERRORS,
        ErrorAnswer(
            body=service_unavailable("There are 1000 streams already (STREAMS_MAX)."), headers=RETRY_HEADER
        ),
    ),
)
