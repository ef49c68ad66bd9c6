import json
from pathlib import Path

import pytest

from consumer.voucherify.errors import (
    NotFoundError,
    ProtocolError,
)
from schemas.times import parse_time
from schemas.voucherify_bin import BinPage
from tests.fake_voucherify import faults
from tests.fake_voucherify.app import PATH
from tests.fake_voucherify.bin import FIRST, FakeEntry, entry_id, made_up
from tests.unit.voucherify_kit import Kit, ids

REST = Path(__file__).parent.parent / "data" / "voucherify" / "rest"


def entries(count: int, *, first: int = 0) -> list[FakeEntry]:
    return [made_up(entry_id(FIRST + number * 1_000_000)) for number in range(first, first + count)]


async def test_the_published_page_is_read() -> None:
    """The published sample is understood in every field."""
    page = BinPage.model_validate_json((REST / "list-bin-entries.200.json").read_bytes())
    assert [entry.resource_type for entry in page.data] == ["voucher", "sku"]
    assert page.data[0].created_at == parse_time("2024-05-07T09:15:13.218Z")
    assert page.data[1].resource_parent_id == "prod_0eb651c04395147085"
    assert page.has_more
    assert page.more_starting_after == page.data[1].id


async def test_all_pages_come_in_order_and_the_order_is_asked_for(at: Kit) -> None:
    """A listing brings every entry once, says order=id, and ends."""
    at.fake.bin.fill(257)
    async with at.client() as client:
        pages = [page async for page in client.pages()]
    assert [len(page.entries) for page in pages] == [100, 100, 57]
    assert [entry.id for page in pages for entry in page.entries] == [entry.id for entry in at.fake.bin]
    assert [page.last for page in pages] == [False, False, True]
    assert all("order=id" in asked.query and "limit=100" in asked.query for asked in at.fake.asked)


async def test_an_empty_bin_is_one_empty_page(at: Kit) -> None:
    """An empty bin gives a page without entries that is the last."""
    async with at.client() as client:
        pages = [page async for page in client.pages()]
    assert [(page.entries, page.resume_id, page.last) for page in pages] == [((), None, True)]


@pytest.mark.parametrize("stop_after", [1, 2, 3])
async def test_a_listing_is_resumed_behind_any_page(at: Kit, stop_after: int) -> None:
    """What was read before a cut and what comes after it make the whole bin."""
    at.fake.bin.fill(250)
    found: list[str] = []
    resume = None
    async with at.client() as client:
        async for page in client.pages(limit=80):
            found += [entry.id for entry in page.entries]
            resume = page.resume_id
            if len(found) >= stop_after * 80:
                break
    async with at.client() as client:
        found += await ids(client.pages(resume, limit=80))
    assert found == [entry.id for entry in at.fake.bin]


async def test_resuming_at_the_end_keeps_the_place(at: Kit) -> None:
    """Behind the newest entry there is nothing, and the place to go on from stays."""
    at.fake.bin.add(*entries(3))
    newest = entries(3)[-1].id
    async with at.client() as client:
        pages = [page async for page in client.pages(newest)]
    assert [(page.entries, page.resume_id, page.last) for page in pages] == [((), newest, True)]


async def test_entries_present_throughout_come_once_while_others_change(at: Kit) -> None:
    """Entries removed, and added at the end, between pages leave the others exactly once."""
    stay, go, come = entries(120)[::2], entries(120)[1::2], entries(40, first=500)
    at.fake.bin.add(*stay, *go)

    def change(_asked: faults.Asked) -> None:
        for _ in range(min(10, len(go))):
            at.fake.bin.remove(go.pop().id)
        if come:
            at.fake.bin.add(come.pop(0))

    at.fake.before = change
    async with at.client() as client:
        found = await ids(client.pages(limit=10))
    assert sorted(found) == found
    assert len(set(found)) == len(found)
    assert {entry.id for entry in stay} <= set(found)


async def test_the_entry_behind_which_to_go_on_may_be_gone(at: Kit) -> None:
    """A cursor is a place, even when its entry was deleted meanwhile."""
    at.fake.bin.add(*entries(6))
    cursor = entries(6)[2].id
    at.fake.bin.remove(cursor)
    async with at.client() as client:
        assert await ids(client.pages(cursor)) == [entry.id for entry in entries(6)[3:]]


async def test_find_asks_for_many_in_few_requests(at: Kit) -> None:
    """Resources are found by type and id, in requests short enough for any server."""
    at.fake.bin.fill(1600)
    vouchers = [entry for entry in at.fake.bin if entry.resource_type == "voucher"]
    others = [entry for entry in at.fake.bin if entry.resource_type == "sku"]
    asked = [entry.resource_id for entry in vouchers[:300] + others[:5]] + ["v_no, it's Ü&=?#", "v_none"]
    async with at.client() as client:
        found = await client.find("voucher", asked)
    assert {name: entry.id for name, entry in found.items()} == {
        entry.resource_id: entry.id for entry in vouchers[:300]
    }
    assert len(at.fake.asked) < 10
    assert all(len(one.query) < 6000 for one in at.fake.asked)


async def test_find_of_nothing_asks_nothing(at: Kit) -> None:
    """Without ids there is no request: a list without members would match everything or nothing."""
    async with at.client() as client:
        assert await client.find("voucher", []) == {}
    assert at.fake.asked == []


async def test_find_notices_a_server_that_does_not_filter(at: Kit) -> None:
    """Entries that were not asked for are an error, not a finding."""
    at.fake.script(faults.body(faults.page(entries(3))))
    async with at.client() as client:
        with pytest.raises(ProtocolError, match="not asked for"):
            await client.find("voucher", ["v_1"])


async def test_delete_says_whether_it_was_there(at: Kit) -> None:
    """Deleting gives True once, False afterwards."""
    at.fake.bin.add(*entries(2))
    async with at.client() as client:
        assert await client.delete(entries(2)[0].id) is True
        assert await client.delete(entries(2)[0].id) is False
    assert at.fake.deleted == [entries(2)[0].id]
    assert len(at.fake.bin) == 1


@pytest.mark.parametrize("entry", ["../trash-bin", "a/b", "tbe_%2e?x=1#y", "tbe_ü"])
async def test_an_odd_id_stays_one_path_segment(at: Kit, entry: str) -> None:
    """No id can lead a deletion to another address."""
    async with at.client() as client:
        assert await client.delete(entry) is False
    assert [asked.path.count("/") for asked in at.fake.asked] == [PATH.count("/") + 1]


@pytest.mark.parametrize("entry", ["", ".", ".."])
async def test_an_id_that_is_a_path_is_refused(at: Kit, entry: str) -> None:
    """Ids that HTTP clients would resolve as paths are never sent."""
    async with at.client() as client:
        with pytest.raises(ValueError, match="not an entry's id"):
            await client.delete(entry)
    assert at.fake.asked == []


async def test_delete_believes_only_the_apis_own_404(at: Kit) -> None:
    """A 404 page of some other server does not count as deleted."""
    at.fake.script(faults.html(404), method="DELETE")
    async with at.client() as client:
        with pytest.raises(NotFoundError, match="check VOUCHERIFY_URL"):
            await client.delete("tbe_1")


async def test_delete_believes_only_204(at: Kit) -> None:
    """A login page with 200 does not count as deleted."""
    at.fake.script(faults.html(200), method="DELETE")
    async with at.client() as client:
        with pytest.raises(ProtocolError, match="204"):
            await client.delete("tbe_1")


async def test_an_unknown_resource_type_is_kept_and_reported_once(at: Kit) -> None:
    """A type that Voucherify adds later comes through, named in the page and once in the log."""
    new = entries(20)
    at.fake.bin.add(*(entry._replace(resource_type="reward") for entry in new))
    async with at.client() as client:
        pages = [page async for page in client.pages(limit=5)]
    assert {kind for page in pages for kind in page.unknown_types} == {"reward"}
    assert sum(len(page.entries) for page in pages) == 20
    assert at.logged().count("voucherify_unknown_type") == 1


async def test_fields_that_are_not_published_are_kept(at: Kit) -> None:
    """A new field of an entry survives."""
    page = json.loads(faults.page(entries(1)))
    page["data"][0]["restorable_until"] = "2030-01-01"
    at.fake.script(faults.body(json.dumps(page).encode()))
    async with at.client() as client:
        found = [entry async for page in client.pages() for entry in page.entries]
    assert found[0].model_extra == {"restorable_until": "2030-01-01", "object": "sku"}
