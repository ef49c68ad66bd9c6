import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from schemas import samples
from schemas.events import Delivery
from schemas.jsontext import strip_whitespace
from schemas.reading import read

BODIES: dict[str, Callable[[], bytes]] = {
    "voucher.deleted": samples.voucher_deleted,
    "campaign.deleted": samples.campaign_deleted,
}


@pytest.mark.parametrize("event_type", BODIES)
def test_samples_are_deliveries(event_type: str) -> None:
    """A sample is compact JSON of a real delivery's size, reads without failure, and has fresh ids."""
    bodies = [BODIES[event_type]() for _ in range(3)]
    events = [read(Delivery("p", "voucherify", None, 2**50, body)) for body in bodies]
    assert all(event.failure is None and event.type == event_type for event in events)
    assert all(strip_whitespace(body) == body and 1_500 < len(body) < 2_500 for body in bodies)
    for one, other in pairwise(events):
        assert one.event_id != other.event_id
        assert one.delivery_id != other.delivery_id
        assert one.resource_id != other.resource_id


def test_samples_take_what_is_given() -> None:
    """Every id, the code and the time can be chosen, a null code too."""
    body = samples.voucher_deleted(
        code=None,
        voucher_id="v_1",
        event_id="evvou_1",
        delivery_id="whs_1",
        project_id="proj_1",
        campaign_id="camp_1",
        occurred_at=1_715_073_313_218_000,
    )
    event = read(Delivery("p", "voucherify", None, 2**51, body))
    assert (event.event_id, event.delivery_id, event.voucherify_project) == ("evvou_1", "whs_1", "proj_1")
    assert (event.resource_id, event.resource_name) == ("v_1", "v_1")
    assert event.occurred_at == 1_715_073_313_218_000
    assert json.loads(body)["data"]["campaign"]["id"] == "camp_1"


@pytest.mark.parametrize("event_type", BODIES)
def test_samples_have_the_published_shape(event_type: str) -> None:
    """A sample has no field that Voucherify's own sample lacks, and its envelope has all of them."""
    ours = json.loads(BODIES[event_type]())
    theirs = json.loads(Path(f"tests/data/voucherify/webhooks/{event_type}.json").read_bytes())
    assert ours.keys() == theirs.keys()
    assert ours["event"].keys() == theirs["event"].keys()
    assert ours["data"].keys() == theirs["data"].keys()
    family = event_type.partition(".")[0]
    assert ours["data"][family].keys() <= theirs["data"][family].keys() | {"holder_id", "validity_hours"}
