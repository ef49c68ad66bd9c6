"""Voucherify's own samples, read as the events that they are."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from handlers.changes import Fields, ResourceKey
from handlers.registry import handler_for
from schemas import samples
from schemas.errors import (
    ErrorBody,
    invalid_query_params,
    missing_permission,
    resource_not_found,
    too_many_requests,
    unauthorized,
)
from schemas.events import Delivery, Event
from schemas.ids import derived_event_id
from schemas.jsontext import strip_whitespace
from schemas.reading import read
from schemas.times import parse_time
from schemas.webhooks import WebhookData

DATA = Path("tests/data/voucherify")
RECEIVED_AT = parse_time("2024-06-01T00:00:00.5Z")
USER = "user_ypzfEcSAphSONMGJRlj6trzXKsh7FGX7"


def sample(name: str) -> bytes:
    return (DATA / "webhooks" / f"{name}.json").read_bytes()


def event(body: bytes, event_name: str | None = None) -> Event:
    return read(Delivery("default", "voucherify", event_name, RECEIVED_AT, body))


EXPECTED: dict[str, dict[str, Any]] = {
    "voucher.deleted": {
        "event_id": "evvou_0e451d8bb1100d79dd",
        "delivery_id": "whs_0e451d90282927d378",
        "occurred_at": parse_time("2024-02-09T11:00:00.000Z"),
        "voucherify_project": "proj_PC2jOMWZ",
        "channel": "USER_PORTAL",
        "group_id": "v-0e451d8ba7803c79ad",
        "user_id": USER,
        "resource_type": "voucher",
        "resource_id": "v_SLmKIus1KXxx5N9qT1ZMVWOu2xk6JxJs",
        "resource_name": "v_SLmKIus1KXxx5N9qT1ZMVWOu2xk6JxJs",
    },
    "voucher.created": {
        "event_id": "evvou_0e4521b3624ab57bf2",
        "delivery_id": "whs_0e4521b4738a0ee623",
        "occurred_at": parse_time("2024-02-09T11:18:34.621Z"),
        "resource_type": "voucher",
        "resource_id": "v_T3TAfGlOsyjEQkfvUvknNYfcynUEvJ3i",
        "resource_name": "Your-applicable-9",
    },
    "campaign.deleted": {
        "event_id": "evcam_0e54ce3689e2923bdd",
        "delivery_id": "whs_0e54ce38088ebefcc3",
        "occurred_at": parse_time("2024-02-21T15:29:30.663Z"),
        "voucherify_project": "proj_Pr0j3CTs",
        "group_id": "v-0e54ce365e63cc279e",
        "resource_type": "campaign",
        "resource_id": "camp_duuYvm09BNsf274eQVp1ZO43",
        "resource_name": "Loyalty Spring",
    },
    "campaign.promotion_tier.deleted": {
        "event_id": "evcam_0ec9f86c67847250b4",
        "resource_type": "campaign",
        "resource_id": "camp_RY00xpbAEXXGQszBDFve6hAP",
        "resource_name": "Promo tier",
    },
    "redemption.succeeded": {
        "event_id": "evred_0e2500291f2016adfa",
        "channel": "API",
        "user_id": None,
        "resource_type": None,
        "resource_id": None,
        "resource_name": None,
    },
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.parametrize("compact", [False, True], ids=["pretty", "compact"])
def test_a_sample_reads_as_its_event(name: str, compact: bool) -> None:
    """Every published body in the current envelope reads as the event that it tells, however it is spaced."""
    body = strip_whitespace(sample(name)) if compact else sample(name)
    read_event = event(body)
    assert read_event.failure is None
    assert (read_event.type, read_event.received_at, read_event.project) == (name, RECEIVED_AT, "default")
    assert {key: getattr(read_event, key) for key in EXPECTED[name]} == EXPECTED[name]


def test_every_sample_is_expected() -> None:
    """No sample is left out of these tests."""
    names = {path.stem for path in (DATA / "webhooks").glob("*.json")}
    assert names == {*EXPECTED, "voucher.deleted.data_only"}


@pytest.mark.parametrize("event_name", ["EVENTS.VOUCHER.DELETED", "voucher.deleted"])
def test_a_body_of_data_alone_is_named_by_its_path(event_name: str) -> None:
    """Without an envelope the path names the event; its id comes from the body, its time from the receipt."""
    body = sample("voucher.deleted.data_only")
    found = event(body, event_name)
    assert found.failure is None
    assert found.type == "voucher.deleted"
    assert found.event_id == derived_event_id("default", "voucher.deleted", strip_whitespace(body))
    assert found.event_id == event(strip_whitespace(body), event_name).event_id
    assert found.occurred_at == RECEIVED_AT
    assert (found.resource_id, found.resource_name) == (
        "v_48SKO3XotBsaHBVGXIdgcGSb684cbyrO",
        "SPRING-2024-Ke5",
    )


def test_a_body_of_data_alone_without_a_name_is_never_guessed() -> None:
    """Without envelope and name it is kept as a failed event."""
    found = event(sample("voucher.deleted.data_only"))
    assert found.failure is not None
    assert found.failure.code == "missing_envelope"
    assert found.data is None


def test_the_envelope_wins_over_the_path() -> None:
    """A path that names another event does not change what an envelope says."""
    assert event(sample("voucher.created"), "voucher.deleted").type == "voucher.created"


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [("voucher.deleted", ("voucher", "x_1", "SALE")), ("campaign.deleted", ("campaign", "x_1", "SALE"))],
)
def test_the_old_envelope(event_type: str, resource: tuple[str, str, str]) -> None:
    """In the old envelope the id is the event's, and the object is what the type is about."""
    body = samples.old_envelope(event_type=event_type, resource_id="x_1", name="SALE", event_id="ev_1")
    found = event(body)
    assert found.failure is None
    assert (found.event_id, found.delivery_id, found.type) == ("ev_1", "", event_type)
    assert found.occurred_at == samples.OCCURRED_AT
    assert (found.resource_type, found.resource_id, found.resource_name) == resource


def test_the_bin_entry_of_a_deleted_voucher() -> None:
    """A voucher.deleted makes a bin entry: code or else id, campaign as parent, the dashboard's user."""
    found = event(sample("voucher.deleted"))
    handler = handler_for(found.type, found.source)
    assert handler is not None
    (change,) = handler(found)
    assert change.key == ResourceKey("default", "voucher", "v_SLmKIus1KXxx5N9qT1ZMVWOu2xk6JxJs")
    assert change.state == "deleted"
    assert change.fields == Fields(
        created_at=found.occurred_at,
        resource_name="v_SLmKIus1KXxx5N9qT1ZMVWOu2xk6JxJs",
        resource_parent_id="camp_18NCNUkQIaXnqbHqhtQnt355",
        deleted_by_user_id=USER,
    )


def test_the_bin_entry_of_a_deleted_campaign() -> None:
    """A campaign.deleted makes a bin entry with its own time of deletion and no parent."""
    found = event(sample("campaign.deleted"))
    assert isinstance(found.data, WebhookData)
    handler = handler_for(found.type, found.source)
    assert handler is not None
    (change,) = handler(found)
    assert change.key == ResourceKey("default", "campaign", "camp_duuYvm09BNsf274eQVp1ZO43")
    assert change.fields == Fields(
        created_at=parse_time("2024-02-21T15:29:30.663Z"),
        resource_name="Loyalty Spring",
        resource_parent_id=None,
        deleted_by_user_id=USER,
    )


@pytest.mark.parametrize(
    "vector", json.loads((DATA / "signature_vectors.json").read_bytes()), ids=lambda vector: vector["body"]
)
def test_the_published_signatures(vector: dict[str, str]) -> None:
    """Published signatures hold for the raw bytes, and for the stripped form of spaced-out JSON."""
    key, body = vector["key"].encode(), vector["body"].encode()
    assert samples.sign(key, body) == vector["hex"]
    assert hmac.new(key, body, hashlib.sha256).hexdigest() == vector["hex"]
    if body.startswith(b"{"):
        spaced = json.dumps(json.loads(body), indent=2).encode()
        assert spaced != body
        assert samples.sign(key, strip_whitespace(spaced)) == vector["hex"]
        assert strip_whitespace(body) == body


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (
            "invalid_query_params.400",
            invalid_query_params(
                "Property .end_date cannot be recognized as a ISO-8601 compliant date",
                request_id="v-0c54493e444b0f61a6",
            ),
        ),
        ("unauthorized.401", unauthorized()),
        ("trash-bin.403", missing_permission()),
        (
            "delete-voucher.404",
            resource_not_found("voucher", "10OFF", request_id="v-0ae28d3cec96bb1b7e"),
        ),
        ("rate-limited.429.client-side", too_many_requests()),
    ],
)
def test_error_bodies_have_the_published_shape(name: str, body: ErrorBody) -> None:
    """Each error body equals Voucherify's sample, down to the fields that it leaves out."""
    assert json.loads(body.to_json()) == json.loads((DATA / "rest" / f"{name}.json").read_bytes())
