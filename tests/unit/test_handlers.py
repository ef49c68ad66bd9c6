from typing import Any

import pytest

from handlers.changes import Change, Fields, ResourceKey
from handlers.registry import handler_for
from schemas import samples
from schemas.events import Delivery, Event
from schemas.own_events import (
    DISCARDED,
    REDRIVEN,
    EntryObserved,
    EntryPurged,
    EntryVanished,
    EventRedriven,
    OwnEvent,
    record_of,
)
from schemas.reading import read

RECEIVED_AT = 1_720_000_000_000_000


def handled(event: Event) -> tuple[Change, ...]:
    assert event.failure is None
    handler = handler_for(event.type, event.source)
    assert handler is not None
    return handler(event)


def webhook(body: bytes, name: str | None = None) -> Event:
    return read(Delivery("default", "voucherify", name, RECEIVED_AT, body))


def own(event: OwnEvent) -> Event:
    record = record_of(event)
    return read(Delivery("default", "binmirror", record.type, RECEIVED_AT, record.body))


def fields_of(event: Event) -> Fields:
    (change,) = handled(event)
    assert change.fields is not None
    return change.fields


def test_a_deleted_voucher() -> None:
    """The change says all that the bin's API shows, and the event it comes from."""
    event = webhook(
        samples.voucher_deleted(voucher_id="v_1", code="SALE", event_id="evvou_1", campaign_id="camp_1")
    )
    assert handled(event) == (
        Change(
            key=ResourceKey("default", "voucher", "v_1"),
            state="deleted",
            event_id="evvou_1",
            occurred_at=samples.OCCURRED_AT,
            received_at=RECEIVED_AT,
            evidence_at=samples.OCCURRED_AT,
            fields=Fields(samples.OCCURRED_AT, "SALE", "camp_1", "user_ypzfEcSAphSONMGJRlj6trzXKsh7FGX7"),
        ),
    )


@pytest.mark.parametrize(
    ("data", "parent"),
    [
        (b'{"voucher":{"id":"v","campaign_id":"c1"},"campaign":{"id":"c2"}}', "c1"),
        (b'{"voucher":{"id":"v","campaign_id":null},"campaign":{"id":"c2"}}', "c2"),
        (b'{"voucher":{"id":"v","campaign_id":""},"campaign":{"id":""}}', None),
        (b'{"voucher":{"id":"v"},"campaign":null}', None),
    ],
)
def test_a_vouchers_parent(data: bytes, parent: str | None) -> None:
    """The voucher's campaign id, else the campaign's, else none."""
    event = webhook(data, "voucher.deleted")
    assert fields_of(event).resource_parent_id == parent


@pytest.mark.parametrize(
    ("channel", "user"),
    [("USER_PORTAL", "user_1"), ("API", None), ("CLIENT_API", None), ("INTERNAL", None), ("NEW", None)],
)
@pytest.mark.parametrize("family", ["voucher", "campaign"])
def test_who_deleted_it(family: str, channel: str, user: str | None) -> None:
    """Only the dashboard's user is shown; what the API deleted has none."""
    body = (
        '{"type":"%s.deleted","data":{"%s":{"id":"x"}},"event":{"id":"e","event_source":'
        '{"channel":"%s","user":{"id":"user_1"}}}}'
    )
    event = webhook((body % (family, family, channel)).encode())
    assert fields_of(event).deleted_by_user_id == user


@pytest.mark.parametrize(
    ("deleted_at", "created_at"),
    [
        (b'"2024-02-21T15:29:30.663Z"', 1_708_529_370_663_000),
        (b"null", 1_704_067_200_000_000),
        (b'""', 1_704_067_200_000_000),
    ],
)
def test_when_a_campaign_was_deleted(deleted_at: bytes, created_at: int) -> None:
    """The campaign's own time when it is given, else the event's."""
    event = webhook(
        b'{"type":"campaign.deleted","data":{"campaign":{"id":"c","name":"Spring"},"deleted_at":%s},'
        b'"event":{"id":"e","created_at":"2024-01-01T00:00:00Z"}}' % deleted_at
    )
    assert fields_of(event) == Fields(created_at, "Spring", None, None)


@pytest.mark.parametrize(
    ("occurred_at", "evidence_at"),
    [
        ("2099-01-01T00:00:00Z", RECEIVED_AT),
        ("0001-01-01T00:00:00Z", 0),
        ("2024-01-01T00:00:00Z", 1_704_067_200_000_000),
    ],
)
def test_evidence_lies_between_1970_and_the_receipt(occurred_at: str, evidence_at: int) -> None:
    """A clock that is wrong elsewhere cannot outweigh later evidence."""
    event = webhook(
        b'{"type":"voucher.deleted","data":{"voucher":{"id":"v"}},"event":{"id":"e","created_at":"%s"}}'
        % occurred_at.encode()
    )
    (change,) = handled(event)
    assert change.evidence_at == evidence_at
    assert change.occurred_at == event.occurred_at


@pytest.mark.parametrize("event_type", ["voucher.created", "voucher.updated"])
def test_living_vouchers_change_nothing(event_type: str) -> None:
    """Creations and updates are handled, and leave the bin as it is."""
    event = webhook(b'{"voucher":{"id":"v"}}', event_type)
    assert handled(event) == ()
    assert (event.resource_type, event.resource_id) == ("voucher", "v")


def test_what_has_no_handler() -> None:
    """Other types, decisions about events, and types under the wrong source are only recorded."""
    assert handler_for("redemption.succeeded", "voucherify") is None
    assert handler_for("campaign.promotion_tier.deleted", "voucherify") is None
    assert handler_for("binmirror.entry.purged", "voucherify") is None
    assert handler_for("voucher.deleted", "binmirror") is None
    assert handler_for(REDRIVEN, "binmirror") is None
    assert handler_for(DISCARDED, "binmirror") is None
    assert (
        own(EventRedriven(project="default", run_id="r", evidence_at=5, target_event_id="e")).failure is None
    )


def test_an_observed_entry() -> None:
    """What the bin itself shows comes with Voucherify's own id and all fields."""
    (change,) = handled(
        own(
            EntryObserved(
                project="default",
                run_id="r",
                evidence_at=5_000,
                resource_type="product",
                resource_id="prod_1",
                entry_id="tbe_1",
                created_at=4_000,
                resource_name="Mug",
                deleted_by_user_id="user_1",
            )
        )
    )
    assert change.key == ResourceKey("default", "product", "prod_1")
    assert (change.state, change.entry_id, change.evidence_at) == ("in_bin", "tbe_1", 5_000)
    assert change.fields == Fields(4_000, "Mug", None, "user_1")


def test_entries_that_are_gone() -> None:
    """Vanished and purged entries bring no fields."""
    about: dict[str, Any] = {
        "project": "default",
        "run_id": "r",
        "resource_type": "voucher",
        "resource_id": "v",
    }
    (vanished,) = handled(own(EntryVanished(**about, evidence_at=5)))
    (purged,) = handled(own(EntryPurged(**about, evidence_at=2 * RECEIVED_AT)))
    assert (vanished.state, vanished.evidence_at, vanished.fields) == ("vanished", 5, None)
    assert (purged.state, purged.evidence_at, purged.fields) == ("purged", RECEIVED_AT, None)
