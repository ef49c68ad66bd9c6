"""What becomes of bodies that nobody published: each is an event, applied or failed with a code."""

import json
from typing import Any

import pytest

from schemas import samples
from schemas.events import Delivery, Event
from schemas.ids import DERIVED_EVENT_PREFIX, derived_event_id
from schemas.text import MAX_TEXT
from schemas.times import parse_time
from schemas.webhooks import WebhookData, event_name, read_event

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
    ("body", "lost"),
    [
        (deleted(id="whs\x00"), {"delivery_id": ""}),
        (deleted(id="w" * 600), {"delivery_id": ""}),
        (deleted(project_id="p\x00"), {"voucherify_project": None}),
        (with_event(group_id="\ud800"), {"group_id": None}),
        (with_event(event_source={"channel": "\x00"}), {"channel": None, "user_id": None}),
        (with_event(event_source={"user": {"id": "u" * 600}}), {"user_id": None}),
    ],
)
def test_text_that_is_not_needed_is_left_out_when_unstorable(
    body: dict[str, Any], lost: dict[str, Any]
) -> None:
    """An optional text that no database stores is dropped; the event counts all the same."""
    event = read(body)
    assert event.failure is None
    assert {key: getattr(event, key) for key in lost} == lost


def test_an_unstorable_parent_is_left_out() -> None:
    """A parent's id that cannot be stored is dropped from what handlers read."""
    event = read(with_voucher(campaign_id="c\x00"))
    assert event.failure is None
    assert isinstance(event.data, WebhookData)
    assert event.data.voucher is not None
    assert event.data.voucher["campaign_id"] is None


def test_a_lone_surrogate_elsewhere_does_no_harm() -> None:
    """Half a surrogate pair in a field that is not used, and whole pairs anywhere, are accepted."""
    body = with_voucher(metadata={"\ud800": "\udfff\ud83d\ud83d\ude00"}, code="\U0001f600")
    raw = json.dumps(body).encode()
    assert rb"\ud800" in raw
    event = read(raw)
    assert event.failure is None
    assert event.resource_name == "\U0001f600"


@pytest.mark.parametrize("text", ["SALE-" + "x" * 295, "\U0001f600" * MAX_TEXT, "a'b\"c\\d\n\t", " ", "%_"])
def test_codes_of_any_text(text: str) -> None:
    """Long codes, emoji and control characters are kept as they are."""
    event = read(with_voucher(code=text))
    assert event.failure is None
    assert event.resource_name == text


def test_the_last_of_duplicate_keys_wins() -> None:
    """As JavaScript reads it, on every way through the parser."""
    once = b'{"type":"voucher.deleted","data":{"voucher":{"id":%s,"id":"v_2"}},"event":{"id":"a","id":"b"}}'
    for first in (b'"v_1"', b"5", b'"\\u0000"'):
        event = read(once % first)
        assert event.failure is None
        assert (event.event_id, event.resource_id) == ("b", "v_2")


def test_numbers_beyond_reason() -> None:
    """Huge numbers, infinities and NaN in unused fields do not matter."""
    event = read(
        b'{"type":"voucher.published","data":{"voucher":{"id":"v"},"x":[1e999,-1e999,NaN,%s]}}'
        % (b"9" * 4000)
    )
    assert event.failure is None


@pytest.mark.parametrize(
    ("event_time", "envelope_time", "expected"),
    [
        ("2024-02-02T02:02:02.123456Z", AT, "2024-02-02T02:02:02.123456Z"),
        ("2024-02-02T02:02:02+02:00", AT, "2024-02-02T00:02:02Z"),
        ("2024-02-02T02:02:02", AT, "2024-02-02T02:02:02Z"),
        (None, AT, AT),
        (None, None, "2024-07-03T09:46:40Z"),
        ("0001-01-01T00:00:00Z", None, "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", None, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_the_time_of_an_event(event_time: str | None, envelope_time: str | None, expected: str) -> None:
    """The event's time, else the envelope's, else the receipt's; the far past and future too."""
    event = read(with_event(created_at=event_time) | {"created_at": envelope_time})
    assert event.failure is None
    assert event.occurred_at == parse_time(expected)


def test_an_unused_time_is_not_read() -> None:
    """The envelope's time does not matter beside the event's own, nor without an event id."""
    assert read(deleted(created_at="nonsense")).occurred_at == parse_time(AT)
    assert read(deleted(created_at=17)).failure is None
    assert read(with_event(id=None, created_at="nonsense")).failure is None


def test_the_entity_stands_in_for_a_missing_voucher() -> None:
    """Without a voucher in the data, the event's entity is what was deleted."""
    event = read(with_event(entity_id="v_9") | {"data": {"voucher": None, "campaign": {"id": "camp_1"}}})
    assert event.failure is None
    assert (event.resource_type, event.resource_id, event.resource_name) == ("voucher", "v_9", "v_9")
    assert read(with_event(entity_id="v_9")).resource_id == "v_1"


def test_a_path_names_a_body_of_data_alone() -> None:
    """Fields that look like an envelope's do not make one where the path names the event."""
    body = {"voucher": {"id": "v_1"}, "type": "expression", "object": {"a": 1}, "id": 5}
    event = read(body, "EVENTS.VOUCHER.DELETED")
    assert event.failure is None
    assert (event.type, event.resource_id, event.delivery_id) == ("voucher.deleted", "v_1", "")
    assert read({"campaign": {"id": "c"}, "deleted_at": AT}, "campaign.deleted").failure is None


def test_a_test_delivery_is_an_event() -> None:
    """A signed body that only names a type is recorded under it."""
    event = read(b'{"type": "webhook.test"}')
    assert event.failure is None
    assert event.type == "webhook.test"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (None, None),
        ("voucher.deleted", "voucher.deleted"),
        ("EVENTS.VOUCHER.DELETED", "voucher.deleted"),
        ("Events.Campaign.Promotion_Tier.Deleted", "campaign.promotion_tier.deleted"),
        ("", None),
        ("EVENTS.", None),
        ("voucher.deleted\x00", None),
        ("\ud800.x", None),
        ("x." * 200, None),
    ],
)
def test_names_in_paths(text: str | None, name: str | None) -> None:
    """A path's name is the type in either spelling; what can be no type is no name."""
    assert event_name(text) == name


def test_old_envelopes_fail_by_field_too() -> None:
    """In the old envelope the fields of the object are named where they stand."""
    body = json.loads(samples.old_envelope())
    body["data"]["object"]["code"] = 5
    event = read(body)
    assert event.failure is not None
    assert event.failure.message.startswith("data.object.code: ")
    event = read(json.loads(samples.old_envelope()) | {"id": "\x00"})
    assert code_of(event) == "unstorable_text"
    event = read(json.loads(samples.old_envelope()) | {"data": {"object": None}})
    assert code_of(event) == "missing_resource_id"
