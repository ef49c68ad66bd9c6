"""The AsyncAPI 3.0 document of the topics: the event log's, and where there is one, that of the entries.

A process does not tell the names of its topics to whoever asks, so they are parameters.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from consumer.web.contract.jsonschemas import schemas_of
from consumer.web.contract.published import ENTRY, OWN_EVENTS
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
    ENTRY_CHANGED,
    ENTRY_REMOVED,
    EVENT_NAME,
    OWN_SOURCE,
    PROJECT,
    RECEIVED_AT,
    SIGNATURE,
)
from schemas.samples import documented

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

_ENTRY_ALWAYS: Final = [CE_SPECVERSION, CE_ID, CE_SOURCE, CE_TYPE, CE_SUBJECT, PROJECT]
_ENTRY_COMMON: Final[Mapping[str, Any]] = {
    CE_SPECVERSION: {"const": "1.0"},
    CE_ID: {**_TEXT, "description": "Of this change: the same when it is published again."},
    CE_SOURCE: {"const": OWN_SOURCE},
    CE_TIME: {**_TEXT, "format": "date-time", "description": "Of what the entry's state rests on."},
    CE_SUBJECT: {**_TEXT, "description": "The record's key."},
    PROJECT: _COMMON[PROJECT],
}
_ENTRY_HEADERS: Final = {
    "type": "object",
    "properties": {
        **_ENTRY_COMMON,
        CE_TYPE: {"const": ENTRY_CHANGED},
        CONTENT_TYPE: {"const": "application/json"},
    },
    "required": [*_ENTRY_ALWAYS, CONTENT_TYPE],
}
_TOMBSTONE_HEADERS: Final = {
    "type": "object",
    "properties": {**_ENTRY_COMMON, CE_TYPE: {"const": ENTRY_REMOVED}},
    "required": _ENTRY_ALWAYS,
}


def asyncapi_document(*, version: str) -> dict[str, Any]:
    """The document."""
    _, webhook_schemas = schemas_of([WebhookBody], "validation", _SCHEMAS)
    _, own_schemas = schemas_of([each.model for each in (*OWN_EVENTS, ENTRY)], "serialization", _SCHEMAS)
    events = {"webhook": _webhook(), **_own_events()}
    entries = {"entryChanged": _entry_changed(), "entryRemoved": _entry_removed()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "binmirror",
            "version": version,
            "description": "The topics that binmirror writes. Headers: CloudEvents in binary mode, as UTF-8.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {"eventLog": _event_log(events), "entries": _entries(entries)},
        "operations": {
            "writeEventLog": {
                "action": "send",
                "channel": {"$ref": "#/channels/eventLog"},
                "summary": "Receivers append webhooks; reconciling, deletes, operators own events.",
                "messages": [{"$ref": f"#/channels/eventLog/messages/{name}"} for name in events],
            },
            "publishEntries": {
                "action": "send",
                "channel": {"$ref": "#/channels/entries"},
                "summary": "One process at a time, in transactions: read what is committed.",
                "messages": [{"$ref": f"#/channels/entries/messages/{name}"} for name in entries],
            },
        },
        "components": {
            "messages": {**events, **entries},
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


def _entries(messages: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "address": "{entriesTopic}",
        "title": "Entries of the bin",
        "description": (
            "Compacted: who reads it from the start holds the whole bin, then follows every change. A key's "
            "last value counts; states in between may be left out, and changes published more than once."
        ),
        "parameters": {"entriesTopic": {"description": "The topic's name in the setting `ENTRIES_TOPIC`."}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "topicConfiguration": {
                    "cleanup.policy": ["compact"],
                    "delete.retention.ms": 7 * 86_400_000,
                }
            }
        },
    }


def _entry_changed() -> dict[str, Any]:
    return {
        "name": ENTRY_CHANGED,
        "title": "An entry as it is now",
        "contentType": "application/json",
        "headers": _ENTRY_HEADERS,
        "payload": {"$ref": _SCHEMAS.format(model=ENTRY.model.__name__)},
        "x-json-schema": f"/schemas/{ENTRY.file}",
        "bindings": {"kafka": {"key": _KEY}},
    }


def _entry_removed() -> dict[str, Any]:
    return {
        "name": ENTRY_REMOVED,
        "title": "There is no such entry any more",
        "summary": "A tombstone: no value. One for a purged or vanished entry follows its last value.",
        "headers": _TOMBSTONE_HEADERS,
        "payload": {"type": "null"},
        "bindings": {"kafka": {"key": _KEY}},
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
        "examples": [{"name": "voucherDeleted", "payload": json.loads(documented())}],
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
        for each in OWN_EVENTS
    }
