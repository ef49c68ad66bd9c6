"""Small deliveries to bend, and what becomes of them."""

import json
from typing import Any

from schemas.events import Delivery, Event
from schemas.webhooks import read_event

RECEIVED_AT = 1_720_000_000_000_000
AT = "2024-02-02T02:22:22.222Z"


def read(body: bytes | dict[str, Any], name: str | None = None) -> Event:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_event(Delivery("default", "voucherify", name, RECEIVED_AT, raw))


def deleted(**changes: Any) -> dict[str, Any]:
    """A small voucher.deleted in the current envelope."""
    body: dict[str, Any] = {
        "id": "whs_1",
        "project_id": "proj_1",
        "created_at": AT,
        "type": "voucher.deleted",
        "data": {
            "voucher": {"id": "v_1", "code": "CODE", "campaign_id": "camp_1"},
            "campaign": {"id": "camp_1"},
        },
        "event": {
            "id": "evvou_1",
            "type": "voucher.deleted",
            "created_at": AT,
            "group_id": "v-1",
            "event_source": {"channel": "API", "user": {"id": "user_1"}},
        },
    }
    return body | changes


def with_event(**changes: Any) -> dict[str, Any]:
    body = deleted()
    return body | {"event": body["event"] | changes}


def with_voucher(**changes: Any) -> dict[str, Any]:
    body = deleted()
    return body | {"data": {"voucher": body["data"]["voucher"] | changes, "campaign": None}}


def code_of(event: Event) -> str | None:
    return None if event.failure is None else event.failure.code
