"""What the OpenAPI document says of the API as a whole."""

from collections.abc import Mapping
from typing import Any, Final

INTRODUCTION: Final = """\
Receives Voucherify's webhooks about deletions and answers from a local mirror of its bin.

- Every error has one shape, `ErrorBody`, and names its request: the same id stands in the header \
`X-Request-Id` and in the log.
- A process has the routes of its roles alone; this document lists those of the process that serves it.
- Times are ISO 8601 in UTC. Fields may be added to answers at any time: ignore what you do not know.
- A path that leads nowhere is a 404, a method that a path does not know a 405 with `Allow`.
"""

TAGS: Final[Mapping[str, str]] = {
    "webhooks": "What Voucherify sends.",
    "bin": "Voucherify's bin API, answered from the mirror: clients written for it change their base URL.",
    "access": "Tokens for clients.",
    "mirror": "What only the mirror tells: verdicts on codes, entries with their history, the event log.",
    "changes": "Following the bin without polling the list.",
    "operations": "Health and metrics.",
    "contracts": "Descriptions of all this, for tools and people.",
}

SECURITY_SCHEMES: Final[Mapping[str, Any]] = {
    "AppId": {
        "type": "apiKey",
        "in": "header",
        "name": "X-App-Id",
        "description": "The id of a project's API key; goes with `X-App-Token`.",
    },
    "AppToken": {
        "type": "apiKey",
        "in": "header",
        "name": "X-App-Token",
        "description": "The secret of that API key.",
    },
    "AccessToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "From `POST /v1/oauth/token`; opens what its key and its scopes open.",
    },
    "Client": {
        "type": "http",
        "scheme": "basic",
        "description": "An API key's id and secret as those of an OAuth 2.0 client.",
    },
    "Signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Voucherify-Signature",
        "description": (
            "Lowercase hex HMAC-SHA256 of the body, with the project's webhook secret as the key. "
            "White space outside of JSON strings may be left out of what is signed."
        ),
    },
}
