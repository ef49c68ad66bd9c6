"""``/mirror/v1``: entries, events and numbers on a real projection."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

import pytest

from consumer.projection.mirror import SqlMirror
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from consumer.web.cursors import event_cursor_text
from schemas.samples import old_envelope
from tests.lookup_kit import campaign_binned, deleted, observed, seen, tell, webhook
from tests.unit.lookups_web import SHOP, SHOP_CREDENTIALS
from tests.unit.webkit import CREDENTIALS, DATA, PROJECT, Web, is_error

EVENTS: Final = "/mirror/v1/events"
ENTRIES: Final = "/mirror/v1/entries/"
STRANGE: Final = "evt/1\né%2F?x\n"
CAMPAIGN: Final = "camp/1%20#"
DELETION: Final = (DATA / "webhooks" / "voucher.deleted.json").read_bytes()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two projects with events of many kinds."""
    address = f"sqlite:///{tmp_path_factory.mktemp('mirror') / 'bin.db'}"
    mine: dict[str, Any] = {"project": "default"}
    story = [
        webhook(DELETION, "default"),
        *(deleted(f"v_{n}", f"CODE-{n}", n, **mine) for n in range(30)),
        seen("v_3", "CODE-3", 0, **mine),
        observed("voucher", "v_3", 50, name="CODE-3", **mine),
        *campaign_binned(CAMPAIGN, 100, "default"),
        webhook(b"{", "default"),
        webhook(old_envelope(resource_id="v_old", name="OLD", event_id=STRANGE), "default"),
        deleted("v_shop", "SHOP", 10, project="shop"),
    ]
    asyncio.run(tell(address, story))
    return address


@pytest.fixture
async def web(address: str) -> AsyncIterator[Web]:
    """An API over it, whose pages of events look four events far."""
    pool = ReadPool(address)
    reader = SqlProjectionReader(pool)
    await reader.start()
    mirror = SqlMirror(pool, far=4)
    yield Web(reader=reader, mirror=mirror, projects={"default": PROJECT, "shop": SHOP})
    await reader.stop()


async def get(web: Web, path: str, **headers: str) -> dict[str, Any]:
    response = await web.get(path, **(headers or CREDENTIALS))
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def walk(web: Web, query: str = "", **headers: str) -> list[dict[str, Any]]:
    """All pages of a listing."""
    found: list[dict[str, Any]] = []
    after = ""
    for _ in range(100):
        page = await get(web, f"{EVENTS}?limit=3{query}{after}", **headers)
        assert page["total"] == len(page["data"]) <= 3
        assert page["has_more"] == (page["more_after"] is not None)
        found += page["data"]
        if not page["has_more"]:
            return found
        after = f"&after={page['more_after']}"
    pytest.fail("the listing has no end")


async def test_pages_hold_every_event_once(web: Web) -> None:
    """Small pages that look only a few events far give every event, newest first, and only the project's."""
    found = await walk(web)
    assert len(found) == len({event["id"] for event in found}) == 37
    order = [(event["received_at"], event["id"]) for event in found]
    assert order == sorted(order, reverse=True)
    (theirs,) = await walk(web, **SHOP_CREDENTIALS)
    assert theirs["resource_id"] == "v_shop"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("&type=campaign.deleted", 1),
        ("&type=voucher.deleted", 32),
        ("&type=no.such", 0),
        ("&status=failed", 1),
        ("&failure_code=invalid_json", 1),
        ("&resource_id=v_3", 3),
        ("&resource_type=campaign", 2),
        ("&text=CODE-2", 11),
        ("&channel=API", 0),
        ("&until=2020-01-01", 0),
        ("&since=2020-01-01&until=2090-01-01T00:00:00Z", 37),
        ("&type=", 37),
        ("&resource_id=v_shop", 0),
    ],
)
async def test_filters(web: Web, query: str, count: int) -> None:
    """Every filter finds what it names on however many pages, rare types too."""
    assert len(await walk(web, query)) == count


async def test_an_event_with_its_body(web: Web) -> None:
    """One event is shown with its body as JSON, or as text where it is none."""
    sample = json.loads(DELETION)
    event = await get(web, f"{EVENTS}/{sample['event']['id']}")
    assert event["data"] == sample
    assert event["group_id"] == sample["event"]["group_id"]
    assert event["status"] == "applied"
    (broken,) = await walk(web, "&status=failed")
    assert (await get(web, f"{EVENTS}/{broken['id']}"))["data"] == "{"
    assert is_error(await web.get(f"{EVENTS}/nothing", **CREDENTIALS), 404, "not_found")
    theirs = await web.get(f"{EVENTS}/{sample['event']['id']}", **SHOP_CREDENTIALS)
    assert is_error(theirs, 404, "not_found")


async def test_an_entry_with_its_history(web: Web) -> None:
    """An entry is found by every id, with the voucher as it was deleted, its counts, metadata and events."""
    sample = json.loads(DELETION)
    voucher = sample["data"]["voucher"]
    lookup = await walk(web, f"&resource_id={voucher['id']}")
    entry = await SqlProjectionReader.entry(web.reader, "default", "tbe_v_3")  # type: ignore[arg-type]  # it is a SqlProjectionReader
    assert entry is not None
    shown = await get(web, ENTRIES + "tbe_v_3")
    assert shown["state"] == "in_bin"
    assert shown["voucherify_id"] == "tbe_v_3"
    assert {event["type"] for event in shown["events"]} == {
        "voucher.deleted",
        "voucher.created",
        "binmirror.entry.observed",
    }
    assert await get(web, ENTRIES + str(entry.provisional_id)) == shown
    assert shown["snapshot"]["voucher"]["code"] == "CODE-3"
    assert shown["snapshot"]["redemption"] == shown["snapshot"]["voucher"]["redemption"]
    assert shown["snapshot"]["metadata"] == shown["snapshot"]["voucher"]["metadata"]
    assert len(lookup) == 1
    campaign = await get(web, ENTRIES + quote(f"tbe_{CAMPAIGN}"))
    assert campaign["snapshot"]["campaign"]["id"] == CAMPAIGN
    assert campaign["snapshot"]["voucher"] is None
    assert is_error(await web.get(ENTRIES + "tbe_v_3", **SHOP_CREDENTIALS), 404, "not_found")
    assert is_error(await web.get(ENTRIES + "%00", **CREDENTIALS), 404, "not_found")


async def test_numbers(web: Web) -> None:
    """Counts by type, state and status, by hour and day without holes, and how far the projection is."""
    stats = await get(web, "/mirror/v1/stats?days=2")
    entries = {(row["resource_type"], row["state"]): row["count"] for row in stats["entries"]}
    assert entries == {("voucher", "deleted"): 31, ("voucher", "in_bin"): 1, ("campaign", "in_bin"): 1}
    assert {row["status"]: row["count"] for row in stats["events"]} == {"applied": 36, "failed": 1}
    assert len(stats["per_day"]) == 2
    assert 24 <= len(stats["per_hour"]) <= 25
    assert stats["partitions"][0]["next_offset"] == 38
    theirs = await get(web, "/mirror/v1/stats", **SHOP_CREDENTIALS)
    assert theirs["entries"] == [{"resource_type": "voucher", "state": "deleted", "count": 1}]


@pytest.mark.parametrize(
    ("path", "details"),
    [
        (EVENTS + "?limit=0", ".limit should"),
        (EVENTS + "?limit=101", ".limit should"),
        (EVENTS + "?limit=x", ".limit should"),
        (EVENTS + "?limit=" + "9" * 5000, ".limit should"),
        (EVENTS + "?after=nonsense", ".after is no cursor"),
        (EVENTS + "?after=%00", ".after is no cursor"),
        (EVENTS + "?status=done", ".status should be one of"),
        (EVENTS + "?resource_type=order", ".resource_type should be one of"),
        (EVENTS + "?since=yesterday", ".since is no ISO 8601 time"),
        (EVENTS + "?since=2024-01-02&until=2024-01-01", ".since is not before"),
        (EVENTS + "?type=" + "x" * 513, ".type holds NUL"),
        (EVENTS + "?starting_after_id=x", ".starting_after_id is unknown"),
        (EVENTS + "/x?limit=1", ".limit is unknown"),
        (ENTRIES + "x?limit=1", ".limit is unknown"),
        ("/mirror/v1/stats?days=32", ".days should"),
    ],
)
async def test_queries_that_make_no_sense(web: Web, path: str, details: str) -> None:
    """400 in the one shape, naming the parameter."""
    response = await web.get(path, **CREDENTIALS)
    assert is_error(response, 400, "invalid_query_params")
    assert details in response.json()["details"]


async def test_ids_of_any_characters(web: Web) -> None:
    """An id with slashes is found percent-encoded; a slash that somebody decoded is part of it."""
    for path in (f"{EVENTS}/{quote(STRANGE, safe='')}", f"{EVENTS}/{quote(STRANGE)}"):
        assert (await get(web, path))["id"] == STRANGE
    for path in (quote(f"tbe_{CAMPAIGN}", safe=""), quote(f"tbe_{CAMPAIGN}")):
        assert (await get(web, ENTRIES + path))["resource_id"] == CAMPAIGN


async def test_the_end_of_a_line_is_part_of_an_id(web: Web) -> None:
    """With one more at its end it is another one; so is every path."""
    for path in (f"{EVENTS}/{quote(STRANGE)}", f"{ENTRIES}tbe_{quote(CAMPAIGN)}", EVENTS):
        await get(web, path)
        assert is_error(await web.get(f"{path}%0A", **CREDENTIALS), 404, "not_found")


@pytest.mark.parametrize("path", [EVENTS + "/", ENTRIES])
async def test_no_id(web: Web, path: str) -> None:
    """There is nothing at the path."""
    assert is_error(await web.get(path, **CREDENTIALS), 404, "not_found")


@pytest.mark.parametrize("path", [EVENTS, EVENTS + "/x", ENTRIES + "x", "/mirror/v1/stats"])
async def test_who_may_ask(web: Web, path: str) -> None:
    """Without credentials: 401."""
    assert is_error(await web.get(path), 401, "unauthorized")


async def test_cursor_behind_the_longest_id(web: Web) -> None:
    """A page's cursor is taken however long the id in it is."""
    after = event_cursor_text((2**62, "é" * 512))
    assert (await get(web, f"{EVENTS}?after={after}"))["total"] > 0
    assert is_error(await web.get(f"{EVENTS}?after={after}x", **CREDENTIALS), 400, "invalid_query_params")
