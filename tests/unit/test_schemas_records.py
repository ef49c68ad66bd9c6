import pytest

from schemas import records, samples
from schemas.events import Delivery
from schemas.own_events import EntryVanished, record_of
from schemas.reading import read
from schemas.records import own_headers, read_delivery, webhook_headers

RECEIVED_AT = 1_720_000_000_123_456


def webhook(body: bytes, event_name: str | None = None, project: str = "default") -> Delivery:
    return Delivery(project, "voucherify", event_name, RECEIVED_AT, body)


def test_a_webhook_reads_back() -> None:
    """The headers of a webhook give back the delivery, and name what CloudEvents wants to know."""
    body = samples.voucher_deleted(voucher_id="v_1", event_id="evvou_1", delivery_id="whs_1")
    delivery = webhook(body, "EVENTS.VOUCHER.DELETED", "läden")
    headers = webhook_headers(read(delivery), event_name=delivery.event_name, signature=b"\xff\x00")
    assert read_delivery(headers, body) == delivery
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"evvou_1",
        "ce_source": "voucherify/läden".encode(),
        "ce_type": b"voucher.deleted",
        "ce_time": b"2024-02-09T11:00:00.000Z",
        "ce_subject": b"v_1",
        "content-type": b"application/json",
        "project": "läden".encode(),
        "received-at": b"1720000000123456",
        "delivery-id": b"whs_1",
        "event-name": b"EVENTS.VOUCHER.DELETED",
        "voucherify-signature": b"\xff\x00",
    }


@pytest.mark.parametrize("event_name", [None, "", "voucher.deleted", "x\ud800.\x00", "é." * 400])
def test_an_unreadable_webhook_reads_back(event_name: str | None) -> None:
    """Headers can be written for whatever was signed, under whatever path, and give the delivery back."""
    delivery = webhook(b"\xff", event_name)
    headers = webhook_headers(read(delivery), event_name=event_name, signature=b"")
    assert read_delivery(headers, delivery.body) == delivery
    assert dict(headers)["ce_type"]
    assert records.CE_SUBJECT not in dict(headers)
    assert records.DELIVERY_ID not in dict(headers)


def test_an_own_event_reads_back() -> None:
    """Only the headers make a record one of ours."""
    own = record_of(
        EntryVanished(
            project="default", run_id="run1", evidence_at=5, resource_type="sku", resource_id="sku_1"
        )
    )
    headers = own_headers(own.event_id, own.type, "default", own.subject, RECEIVED_AT)
    delivery = read_delivery(headers, own.body)
    assert delivery == Delivery("default", "binmirror", own.type, RECEIVED_AT, own.body)
    assert dict(headers)["ce_subject"] == b"sku_1"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ce_source": None}, "'ce_source'"),
        ({"project": None}, "'project'"),
        ({"received-at": None}, "'received-at'"),
        ({"ce_source": b"voucherify/other"}, "'ce_source'"),
        ({"ce_source": b"someone"}, "'ce_source'"),
        ({"received-at": b""}, "no time"),
        ({"received-at": b"-1"}, "no time"),
        ({"received-at": "\uff11".encode()}, "no time"),
        ({"received-at": b"9" * 18}, "no time"),
        ({"received-at": b"9" * 100_000}, "no time"),
        ({"project": b"\xff", "ce_source": b"voucherify/\xff"}, "UTF-8"),
        ({"event-name": b"\xff"}, "UTF-8"),
        ({"ce_source": b"binmirror", "ce_type": b"\xff"}, "UTF-8"),
    ],
)
def test_a_foreign_record_is_told_apart(changes: dict[str, bytes | None], said: str) -> None:
    """A record without our headers, or with contradicting ones, is refused with a reason."""
    found: dict[str, bytes | None] = dict(
        webhook_headers(read(webhook(b"{}")), event_name=None, signature=b"")
    )
    found |= changes
    headers = tuple((name, value) for name, value in found.items() if value is not None)
    with pytest.raises(ValueError, match=said):
        read_delivery(headers, b"{}")
