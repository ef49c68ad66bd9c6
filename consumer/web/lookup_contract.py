"""What the lookups say of themselves."""

from typing import Final

from consumer.web.contract.describe import READ_ERRORS, Answer, Content, ErrorAnswer, Operation, Parameter
from consumer.web.freshness import FRESH_ERRORS, FRESH_HEADERS, FRESH_PARAMETERS
from schemas.errors import invalid_payload, invalid_query_params, missing_permission, payload_too_large
from schemas.lookups import MAX_BODY, MAX_LOOKUPS, LookupsRequest, LookupsView, LookupView
from schemas.text import MAX_TEXT

_VERDICTS: Final = (
    "`dead`: its newest bearer, or that one's campaign, is in Voucherify's bin. `deleted`: a webhook said "
    "so, the bin has not confirmed it. `reusable`: gone for good, the code may live again. `reused`: another "
    "voucher with this code was seen alive since. `unknown`: nothing is known of its death, which never "
    "means that it lives."
)
_LOOKUP: Final = {
    "object": "lookup",
    "code": "SUMMER-2026",
    "resource_type": None,
    "resource_id": None,
    "campaign_id": None,
    "verdict": "dead",
    "evidence": {
        "resource_type": "voucher",
        "resource_id": "v_JPfnb5ChY1HdNnaMkA0ikra4gIg0dja6",
        "state": "in_bin",
        "event_id": "bmev_run_0e451d8bb1100d79",
        "at": "2024-05-07T09:20:00.000Z",
    },
    "resources": [
        {
            "resource_type": "voucher",
            "resource_id": "v_JPfnb5ChY1HdNnaMkA0ikra4gIg0dja6",
            "resource_name": "SUMMER-2026",
            "campaign_id": None,
            "state": "in_bin",
            "entry_id": "tbe_0eb6515f758ae37126",
            "deleted_at": "2024-05-07T09:15:13.218Z",
            "state_at": "2024-05-07T09:20:00.000Z",
            "state_event_id": "bmev_run_0e451d8bb1100d79",
            "seen_at": None,
            "seen_event_id": None,
        }
    ],
}

LOOK_UP_VOUCHER: Final = Operation(
    name="look_up_voucher",
    tag="mirror",
    summary="Is this code dead?",
    text=f"Always 200 for a code, whatever it is. {_VERDICTS} Needs the permission vouchers.read.",
    parameters=(
        Parameter(
            name="code",
            place="path",
            text="The voucher's code: any character, percent-encoded, slashes too.",
            schema={"type": "string", "minLength": 1},
            example="SUMMER-2026",
        ),
        Parameter(
            name="campaign_id",
            place="query",
            text="The campaign that the code belongs to, if known: vouchers die with it without an event.",
            schema={"type": "string", "maxLength": MAX_TEXT, "pattern": r"^[^\x00]*$"},
        ),
        *FRESH_PARAMETERS,
    ),
    answers={
        200: Answer(
            text="The verdict.", headers=FRESH_HEADERS, content=[Content(shape=LookupView, example=_LOOKUP)]
        )
    },
    errors=(
        *READ_ERRORS,
        *FRESH_ERRORS,
        ErrorAnswer(body=missing_permission()),
        ErrorAnswer(body=invalid_query_params("Property .code is not percent-encoded UTF-8")),
    ),
)

LOOK_UP_MANY: Final = Operation(
    name="look_up_many",
    tag="mirror",
    summary="Which of these are dead?",
    text=(
        f"Up to {MAX_LOOKUPS} codes and resource ids of any type, answered in order. {_VERDICTS} Codes need "
        "the permission vouchers.read, ids the one of their type."
    ),
    parameters=FRESH_PARAMETERS,
    body=(
        Content(
            shape=LookupsRequest,
            example={
                "lookups": [
                    {"code": "SUMMER-2026"},
                    {"resource_type": "campaign", "resource_id": "camp_ITQtKkrPOxL1a55uSU7tqbCL"},
                ]
            },
        ),
    ),
    answers={
        200: Answer(
            text="The verdicts.",
            headers=FRESH_HEADERS,
            content=[
                Content(
                    shape=LookupsView,
                    example={"object": "list", "data_ref": "data", "data": [_LOOKUP], "total": 1},
                )
            ],
        )
    },
    errors=(
        *READ_ERRORS,
        *FRESH_ERRORS,
        ErrorAnswer(body=missing_permission()),
        ErrorAnswer(body=invalid_payload("Property .lookups[3].code should be a valid string")),
        ErrorAnswer(body=payload_too_large(MAX_BODY)),
    ),
)
