"""The AsyncAPI 3.0 document of the topics: the event log's, and where there is one, that of the entries.

A process does not tell the names of its topics to whoever asks, so they are parameters.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from consumer.web.contract.jsonschemas import schemas_of
from consumer.web.contract.published import PUBLISHED
from schemas.envelope import WebhookBody
from schemas.records import (
    CE_ID,
    CE_SOURCE,
    CE_SPECVERSION,
    CE_SUBJECT,
    CE_TIME,
    CE_TYPE,
    CONTENT_TYPE,
    DELIVERY_ID,
    EVENT_NAME,
    OWN_SOURCE,
    PROJECT,
    RECEIVED_AT,
    SIGNATURE,
)
from schemas.samples import voucher_deleted

_SCHEMAS: Final = "#/components/schemas/{model}"
_TEXT: Final = {"type": "string"}
_KEY: Final = {
    "type": "string",
    "description": "`project/type/resource id`, the same for all that is said of a resource; "
    "`project/event/event id` where there is no resource.",
    "examples": ["default/voucher/v_JPfnb5ChY1HdNnaMkA0ikra4gIg0dja6"],
}
_COMMON: Final[Mapping[str, Any]] = {
    CE_SPECVERSION: {"const": "1.0"},
    CE_ID: {**_TEXT, "description": "The event's id, for ever; deliveries of one event share it."},
    CE_TYPE: {**_TEXT, "description": "For example `voucher.deleted`; `unknown` when it cannot be read."},
    CE_TIME: {**_TEXT, "format": "date-time", "description": "When it happened."},
    CE_SUBJECT: {**_TEXT, "description": "The resource's id; absent where there is none."},
    CONTENT_TYPE: {"const": "application/json"},
    PROJECT: {**_TEXT, "description": "The project's name in binmirror's configuration."},
    RECEIVED_AT: {
        **_TEXT,
        "pattern": "^-?[0-9]+$",
        "description": "Microseconds since the Unix epoch: the receiver's one clock reading.",
    },
}
_ALWAYS: Final = [CE_SPECVERSION, CE_ID, CE_SOURCE, CE_TYPE, CE_TIME, CONTENT_TYPE, PROJECT, RECEIVED_AT]
_WEBHOOK_HEADERS: Final = {
    "type": "object",
    "properties": {
        **_COMMON,
        CE_SOURCE: {**_TEXT, "pattern": "^voucherify/", "description": "`voucherify/` and the project."},
        SIGNATURE: {**_TEXT, "description": "As received."},
        DELIVERY_ID: {**_TEXT, "description": "`whs_…`; absent when the body names none."},
        EVENT_NAME: {**_TEXT, "description": "As in the request's path; absent when that names none."},
    },
    "required": [*_ALWAYS, SIGNATURE],
}
_OWN_HEADERS: Final = {
    "type": "object",
    "properties": {**_COMMON, CE_SOURCE: {"const": OWN_SOURCE}},
    "required": [*_ALWAYS, CE_SUBJECT],
}


def asyncapi_document(*, version: str) -> dict[str, Any]:
    """The document."""
    _, webhook_schemas = schemas_of([WebhookBody], "validation", _SCHEMAS)
    _, own_schemas = schemas_of([each.model for each in PUBLISHED], "serialization", _SCHEMAS)
    messages = {"webhook": _webhook(), **_own_events()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "binmirror",
            "version": version,
            "description": "The topics that binmirror writes. Headers: CloudEvents in binary mode, as UTF-8.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {"eventLog": _event_log(messages)},
        "operations": {
            "writeEventLog": {
                "action": "send",
                "channel": {"$ref": "#/channels/eventLog"},
                "summary": "Receivers append webhooks; reconciling, deletes, operators own events.",
                "messages": [{"$ref": f"#/channels/eventLog/messages/{name}"} for name in messages],
            }
        },
        "components": {
            "messages": messages,
            "schemas": {**webhook_schemas, **own_schemas},
        },
    }


def _event_log(messages: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "address": "{eventLogTopic}",
        "title": "Event log",
        "description": (
            "Everything that changes the bin: webhooks as received, byte for byte, and own events. Order "
            "is best effort, duplicates occur. Kept without limit: the bin can be rebuilt from it."
        ),
        "parameters": {"eventLogTopic": {"description": "The topic's name in the setting `EVENT_LOG`."}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": {"topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": -1}}},
    }


def _webhook() -> dict[str, Any]:
    return {
        "name": "webhook",
        "title": "A webhook as received",
        "summary": "What Voucherify signed, perhaps no JSON at all. The schema names what is read.",
        "contentType": "application/json",
        "headers": _WEBHOOK_HEADERS,
        "payload": {"$ref": _SCHEMAS.format(model="WebhookBody")},
        "bindings": {"kafka": {"key": _KEY}},
        "examples": [{"name": "voucherDeleted", "payload": json.loads(voucher_deleted())}],
    }


def _own_events() -> dict[str, Any]:
    return {
        each.model.__name__: {
            "name": each.name,
            "title": (each.model.__doc__ or "").strip(),
            "contentType": "application/json",
            "headers": _OWN_HEADERS,
            "payload": {"$ref": _SCHEMAS.format(model=each.model.__name__)},
            "x-json-schema": f"/schemas/{each.file}",
            "bindings": {"kafka": {"key": _KEY}},
        }
        for each in PUBLISHED
    }
