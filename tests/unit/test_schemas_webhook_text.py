"""Text, numbers, times and names of odd kinds in deliveries."""

import json
from typing import Any

import pytest

from schemas import samples
from schemas.text import MAX_TEXT
from schemas.times import parse_time
from schemas.webhooks import WebhookData, event_name
from tests.unit.webhook_kit import AT, code_of, deleted, read, with_event, with_voucher


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
