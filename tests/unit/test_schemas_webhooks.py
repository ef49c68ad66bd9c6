"""What becomes of bodies that nobody published: each is an event, applied or failed with a code."""

import json
from typing import Any

import pytest

from schemas.ids import DERIVED_EVENT_PREFIX, derived_event_id
from schemas.times import parse_time
from tests.unit.webhook_kit import AT, RECEIVED_AT, code_of, deleted, read, with_event, with_voucher


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b" ", "invalid_json"),
        (b"hello", "invalid_json"),
        (b'{"type": "voucher.deleted"', "invalid_json"),
        (b'{"type": "voucher.deleted\xff"}', "invalid_json"),
        (b'\xef\xbb\xbf{"type": "voucher.deleted"}', "invalid_json"),
        (b'{"type": "voucher\x00.deleted"}', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"a":' * 100_000, "invalid_json"),
        (b'{"a":' + b"9" * 100_000 + b"}", "invalid_json"),
        (b'{"a": "\\ud800', "invalid_json"),
        (b"null", "missing_envelope"),
        (b"[]", "missing_envelope"),
        (b'"text"', "missing_envelope"),
        (b"17", "missing_envelope"),
        (b"{}", "missing_envelope"),
        (b'{"hello": "world"}', "missing_envelope"),
        (b'{"object": "event", "id": "ev_1"}', "missing_envelope"),
        (b'{"event": {"id": "ev_1"}}', "missing_envelope"),
        (b'{"type": 5, "data": {}}', "invalid_envelope"),
        (b'{"type": "voucher.deleted", "event": "ev_1"}', "invalid_envelope"),
        (b'{"type": "voucher.deleted", "data": []}', "invalid_envelope"),
    ],
)
def test_a_body_that_is_no_delivery(body: bytes, code: str) -> None:
    """What cannot be understood is a failed event with an id derived from the body."""
    event = read(body)
    assert code_of(event) == code
    assert event.data is None
    assert event.occurred_at == event.received_at == RECEIVED_AT
    if not event.event_id.startswith("ev_"):
        assert event.event_id == derived_event_id("default", event.type, body.replace(b" ", b""))


def test_the_parsed_delivery() -> None:
    """The small body of these tests reads as what it says."""
    event = read(deleted())
    assert event.failure is None
    assert event[2:14] == (
        "evvou_1",
        "voucher.deleted",
        parse_time(AT),
        RECEIVED_AT,
        "whs_1",
        "proj_1",
        "API",
        "v-1",
        "user_1",
        "voucher",
        "v_1",
        "CODE",
    )


@pytest.mark.parametrize(
    "body",
    [
        deleted(new_field={"deep": [1, {"er": None}]}, source=17, object="webhook"),
        deleted(voucher="root", campaign=5, deleted_at=[]),
        with_voucher(gift=1, type=None, metadata="x", created_at=17, active="perhaps", name=5),
        deleted(data={"voucher": {"id": "v_1", "code": "CODE"}, "campaign": {"id": "c", "name": 5}}),
        deleted(data={"voucher": {"id": "v_1", "code": "CODE"}, "object": 17, "deleted_at": 5}),
        with_event(event_source={"channel": "A_NEW_CHANNEL", "api_key": "text"}),
        with_event(event_source=None, group_id=None),
        with_event(entity_id=None, type=None),
        with_event(type=17),
    ],
)
def test_unused_fields_are_never_a_reason(body: dict[str, Any]) -> None:
    """Unknown fields, unknown values and wrong types in fields that this event does not use are accepted."""
    event = read(body)
    assert event.failure is None
    assert (event.event_id, event.resource_id, event.resource_name) == ("evvou_1", "v_1", "CODE")


def test_other_types_need_no_resource() -> None:
    """Of an event outside the voucher and campaign families the data may be anything."""
    bodies: list[Any] = [{"voucher": 5, "campaign": []}, [], "text", None]
    for data in bodies:
        event = read(deleted(type="customer.updated", data=data))
        assert event.failure is None
        assert (event.resource_type, event.resource_id, event.resource_name) == (None, None, None)
    assert read(deleted(type="voucher.created", data={"voucher": None})).failure is None


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (with_voucher(id=5), "invalid_envelope", "data.voucher.id"),
        (with_voucher(code=["CODE"]), "invalid_envelope", "data.voucher.code"),
        (with_voucher(campaign_id=5), "invalid_envelope", "data.voucher.campaign_id"),
        (deleted(data={"voucher": "v_1"}), "invalid_envelope", "data.voucher"),
        (
            deleted(data={"voucher": {"id": "v_1"}, "campaign": {"id": 5}}),
            "invalid_envelope",
            "data.campaign.id",
        ),
        (with_event(id=5), "invalid_envelope", "event.id"),
        (with_event(id={}), "invalid_envelope", "event.id"),
        (with_event(event_source="API"), "invalid_envelope", "event.event_source"),
        (with_event(event_source={"user": "u"}), "invalid_envelope", "event.event_source.user"),
        (deleted(id=5), "invalid_envelope", "id"),
        (deleted(project_id=5), "invalid_envelope", "project_id"),
        (with_event(created_at=1_700_000_000), "invalid_time", "event.created_at"),
        (with_event(created_at="yesterday"), "invalid_time", "yesterday"),
        (with_event(created_at="9" * 1000), "invalid_time", "9999"),
        (with_event(created_at="2024-02-30T00:00:00Z"), "invalid_time", "day"),
        (with_event(created_at="0001-01-01T00:00:00+14:00"), "invalid_time", "years 1 to 9999"),
        (with_event(created_at="2024-01-01\x00"), "invalid_time", "2024-01-01"),
        (with_event(id="ev\x00"), "unstorable_text", "event.id"),
        (with_event(id="e" * 513), "unstorable_text", "event.id"),
        (with_event(id="\ud800"), "unstorable_text", "event.id"),
        (deleted(type="voucher.deleted\x00"), "unstorable_text", "type"),
        (with_voucher(id="v\x00"), "unstorable_text", "data.voucher.id"),
        (with_voucher(code="\ud83d"), "unstorable_text", "data.voucher.code"),
        (with_voucher(code="x" * 513), "unstorable_text", "data.voucher.code"),
        (with_event(id=DERIVED_EVENT_PREFIX + "00"), "invalid_envelope", "evsha_00"),
        (with_event(id="bmev_run_00"), "invalid_envelope", "bmev_run_00"),
        (deleted(data={"voucher": None, "campaign": None}), "missing_resource_id", "deleted"),
        (deleted(data=None), "missing_resource_id", "deleted"),
        (with_voucher(id=None), "missing_resource_id", "deleted"),
        (with_voucher(id=""), "missing_resource_id", "deleted"),
        (
            deleted(type="campaign.deleted", data={"campaign": {"id": "c"}, "deleted_at": "x"}),
            "invalid_time",
            "x",
        ),
        (
            deleted(type="campaign.deleted", data={"campaign": {"id": "c"}, "deleted_at": 5}),
            "invalid_time",
            "data.deleted_at",
        ),
        (
            deleted(type="campaign.deleted", data={"campaign": {"id": "c", "name": 5}}),
            "invalid_envelope",
            "data.campaign.name",
        ),
    ],
)
def test_a_used_field_that_cannot_be_used(body: dict[str, Any], code: str, said: str) -> None:
    """A field that the event needs fails it with a code and a sentence that names the field."""
    event = read(body)
    assert event.failure is not None
    assert event.failure.code == code
    assert said in event.failure.message
    assert event.data is None
    assert event.type in {"voucher.deleted", "campaign.deleted"}
    assert len(event.failure.message) < 400


@pytest.mark.parametrize("event_id", [None, "", "ev\x00", "\udc00", "e" * 10_000])
def test_an_event_without_a_usable_id_gets_a_derived_one(event_id: str | None) -> None:
    """The id comes from project, type and body, and the time from the receipt."""
    body = json.dumps(with_event(id=event_id), separators=(",", ":")).encode()
    event = read(body, "voucher.created")
    assert event.event_id == derived_event_id("default", "voucher.deleted", body)
    assert event.occurred_at == RECEIVED_AT
    assert (event.failure is None) == (not event_id)


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "voucher.deleted", "voucher": {"id": "v_1"}}',
        b'{"type": "EVENTS.VOUCHER.DELETED", "voucher": {"id": "v_1"}}',
        b'{"type": "voucher.deleted"}',
        b'{"type": "sku.deleted", "project_id": "proj_1"}',
        b'{"type": "", "voucher": {"id": "v_1"}}',
        b'{"type": "two words"}',
    ],
)
def test_a_stored_event_reads_as_it_did(body: bytes) -> None:
    """An event read anew, with its stored type for the path's name, is what it was: order decides nothing."""
    first = read(body, None)
    assert read(body, first.type or None) == first
