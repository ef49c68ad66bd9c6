"""The AsyncAPI document and the JSON Schemas tell of the records as they are written."""

import json
from typing import Any

import pytest
from asyncapi3.models import AsyncAPI3
from jsonschema import Draft202012Validator, ValidationError

from consumer.eventlog.kafka.entries_admin import TOMBSTONE_MS
from consumer.projection.changes_base import ChangedEntry
from consumer.publisher.records import records_of
from consumer.types import Position
from consumer.web.contract.published import PUBLISHED
from handlers.changes import Entry, Fields, ResourceKey
from schemas.events import Delivery
from schemas.own_events import (
    EntryObserved,
    EntryPurged,
    EntryVanished,
    EventDiscarded,
    EventRedriven,
    OwnEvent,
    record_of,
)
from schemas.reading import read
from schemas.records import Headers, own_headers, webhook_headers
from schemas.samples import campaign_deleted, old_envelope, voucher_deleted
from tests.contract.documents import check, document_of, whole
from tests.unit.webkit import DATA

NOW = 1_715_073_313_218_000
ABOUT: dict[str, Any] = {"project": "default", "run_id": "r1", "evidence_at": NOW}
ENTRY: dict[str, Any] = {**ABOUT, "resource_type": "voucher", "resource_id": "v_1"}
OWN: list[OwnEvent] = [
    EntryObserved(**ENTRY, entry_id="tbe_1", created_at=NOW, resource_name="CODE"),
    EntryVanished(**ENTRY),
    EntryPurged(**ENTRY, entry_id="tbe_1", requested_by="api key app-id"),
    EventRedriven(**ABOUT, target_event_id="evvou_1"),
    EventDiscarded(
        **ABOUT, target_event_id="evvou_1", reason="a test", resource_type="voucher", resource_id="v_1"
    ),
]
WEBHOOKS = [
    voucher_deleted(),
    voucher_deleted(code=None),
    campaign_deleted(),
    old_envelope(),
    *(path.read_bytes() for path in sorted((DATA / "webhooks").glob("*.json"))),
]


@pytest.fixture
async def document() -> Any:
    """As it is served."""
    return await document_of(whole(), "/asyncapi.json")


async def test_every_process_serves_the_same(document: Any) -> None:
    """What one process has served, another one knows again: examples are not random."""
    assert await document_of(whole(), "/asyncapi.json") == document


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for each in value for found in references(each)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for each in value.values() for found in references(each)]


async def test_valid(document: Any) -> None:
    """It is AsyncAPI 3.0: known fields alone, and references that lead somewhere."""
    AsyncAPI3.model_validate(document)
    for reference in references(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def shown(headers: Headers) -> dict[str, str]:
    return {name: value.decode() for name, value in headers}


@pytest.mark.parametrize("body", WEBHOOKS, ids=range(len(WEBHOOKS)))
async def test_webhooks(document: Any, body: bytes) -> None:
    """Webhook records have the headers and the body that the document tells of."""
    message = document["components"]["messages"]["webhook"]
    event = read(Delivery("default", "voucherify", "voucher.deleted", NOW, body))
    headers = webhook_headers(event, event_name="voucher.deleted", signature=b"0f" * 32)
    check(shown(headers), message["headers"], document)
    assert {name for name, _ in headers} <= message["headers"]["properties"].keys()
    check(json.loads(body), message["payload"], document)


@pytest.mark.parametrize("event", OWN, ids=lambda event: type(event).__name__)
async def test_own_events(document: Any, event: OwnEvent) -> None:
    """Own events have the headers and the body that the document tells of."""
    message = document["components"]["messages"][type(event).__name__]
    record = record_of(event)
    headers = own_headers(record.event_id, record.type, event.project, record.subject, NOW)
    assert message["name"] == record.type
    check(shown(headers), message["headers"], document)
    assert {name for name, _ in headers} <= message["headers"]["properties"].keys()
    check(json.loads(record.body), message["payload"], document)


@pytest.mark.parametrize("event", OWN, ids=lambda event: type(event).__name__)
async def test_published_schemas(event: OwnEvent) -> None:
    """An own event's body has the form of its published schema, which knows every field of it."""
    record = record_of(event)
    web = whole()
    index = (await web.get("/schemas")).json()["schemas"]
    (listed,) = [each for each in index if each["name"] == record.type]
    response = await web.get(listed["href"])
    assert response.headers["content-type"] == "application/schema+json"
    schema = response.json()
    assert schema["$id"] == listed["id"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    body = json.loads(record.body)
    Draft202012Validator(schema).validate(body)
    assert body.keys() == schema["properties"].keys()
    assert body["version"] == listed["version"]
    for wrong in ({**body, "project": 7}, {**body, "version": 2}, {**body, "run_id": ""}):
        with pytest.raises(ValidationError):
            Draft202012Validator(schema).validate(wrong)


PURGED = Entry(
    ResourceKey("default", "voucher", "v_1"),
    "purged",
    NOW,
    "bmev_1",
    "tbe_1",
    "tbe_1",
    None,
    Fields(NOW, "CODE", "camp_1", None),
    "evvou_1",
    NOW,
    None,
    None,
)


@pytest.mark.parametrize(
    "entry", [PURGED, PURGED._replace(state="in_bin"), PURGED._replace(fields=None), None]
)
async def test_entries(document: Any, entry: Entry | None) -> None:
    """What is published of an entry has the headers and the value that document and schema tell of."""
    messages = {each["name"]: each for each in document["components"]["messages"].values()}
    schema = (await whole().get("/schemas/binmirror.entry.v1.json")).json()
    records = records_of([ChangedEntry(PURGED.key, entry, Position(0, 17))])
    for record in records:
        headers = shown(record.headers)
        message = messages[headers["ce_type"]]
        check(headers, message["headers"], document)
        assert headers.keys() <= message["headers"]["properties"].keys()
        value = None if record.value is None else json.loads(record.value)
        check(value, message["payload"], document)
        if value is not None:
            Draft202012Validator(schema).validate(value)
            assert value.keys() == schema["properties"].keys()
    topic = document["channels"]["entries"]["bindings"]["kafka"]["topicConfiguration"]
    assert topic["delete.retention.ms"] == TOMBSTONE_MS
    assert [record.value is None for record in records] == {
        None: [True],
        "in_bin": [False],
        "purged": [False, True],
    }[entry and entry.state]


async def test_index() -> None:
    """The index names every schema, each under an address of its own; another address is a 404."""
    web = whole()
    index = (await web.get("/schemas")).json()["schemas"]
    assert [each["name"] for each in index] == [each.name for each in PUBLISHED]
    assert len({each["href"] for each in index}) == len({each["id"] for each in index}) == len(PUBLISHED)
    assert (await web.get("/schemas/binmirror.entry.observed.v2.json")).status_code == 404
