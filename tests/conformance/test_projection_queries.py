"""The reader's contract, on SQLite and PostgreSQL: listing, looking up, counting; all by index."""

import itertools
from collections.abc import Sequence
from typing import get_args

import pytest

from consumer.projection.base import EventQuery, EventRow
from consumer.projection.migrate import latest_version
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.store import SqlProjectionWriter
from handlers.changes import Entry
from schemas.trash_bin import BinQuery, Condition, Filters, Order
from tests.projection_kit import MOMENT, Feed, Said

SOME = [Said(f"e{n}", resource_id=f"v{n}", name=f"N{n}", occurred=n // 2 * 60) for n in range(10)]


async def walk(reader: SqlProjectionReader, order: Order, limit: int) -> list[Entry]:
    found: list[Entry] = []
    after, more = None, True
    while more:
        page = await reader.list_bin("p", BinQuery(limit=limit, order=order, after_id=after))
        assert len(page.entries) <= limit
        found += page.entries
        after, more = page.entries[-1].id, page.has_more
    return found


@pytest.mark.parametrize("limit", [1, 3, 5, 10, 100])
async def test_pages_hold_every_entry_once(
    store: SqlProjectionWriter, reader: SqlProjectionReader, limit: int
) -> None:
    """Pages of any size, forwards and backwards, give all entries in the order of their sort keys."""
    await (await Feed.of(store)).push(*SOME)
    forwards = await walk(reader, "id", limit)
    keys = [(entry.sort_key, *entry.key[1:]) for entry in forwards]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(SOME)
    assert await walk(reader, "-id", limit) == forwards[::-1]


async def test_an_entry_keeps_its_place_while_its_id_changes(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """Entries that get Voucherify's id, or leave the bin, between two pages do not move the others."""
    feed = await Feed.of(store)
    await feed.push(*SOME)
    everything = await walk(reader, "id", 100)
    page = await reader.list_bin("p", BinQuery(limit=4))
    last = page.entries[-1]
    first = page.entries[0].key.resource_id
    await feed.push(
        Said("o1", "in_bin", last.key.resource_id, occurred=9000, received=9001, entry_id="tbe_zzz"),
        Said("x1", "vanished", first, occurred=9000, received=9001),
        Said("e99", resource_id="v99", occurred=-900),
    )
    for after in (last.id, "tbe_zzz"):
        rest = await reader.list_bin("p", BinQuery(limit=100, after_id=after))
        assert [entry.key for entry in rest.entries] == [entry.key for entry in everything[4:]]
    gone = await reader.list_bin("p", BinQuery(limit=100, after_id=everything[0].id))
    assert gone.entries[0].key == everything[1].key


@pytest.mark.parametrize("after", ["", "a", "tbe_", "tbe_9", "z", "\0", "tbe_\ud800", "é" * 600, "tbe_0\0x"])
async def test_an_unknown_id_is_a_position(
    store: SqlProjectionWriter, reader: SqlProjectionReader, after: str
) -> None:
    """Whatever text stands for the last id seen, what sorts after it follows."""
    await (await Feed.of(store)).push(*SOME)
    everything = await walk(reader, "id", 100)
    forwards = await reader.list_bin("p", BinQuery(limit=100, after_id=after))
    assert list(forwards.entries) == [entry for entry in everything if entry.sort_key > after]
    backwards = await reader.list_bin("p", BinQuery(limit=100, order="-id", after_id=after))
    assert list(backwards.entries) == [entry for entry in everything[::-1] if entry.sort_key < after]


async def test_purged_and_vanished_entries_are_not_listed(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """Only what is in the bin is listed; what left it can be looked up."""
    feed = await Feed.of(store)
    kinds = ("deleted", "in_bin", "vanished", "purged")
    await feed.push(*(Said(f"e{kind}", kind, resource_id=kind) for kind in kinds))
    page = await reader.list_bin("p", BinQuery())
    assert {entry.key.resource_id for entry in page.entries} == {"deleted", "in_bin"}
    assert dict((await reader.info()).entries) == {("p", "voucher", kind): 1 for kind in kinds}


@pytest.mark.parametrize("odd", ["", "\0", "tbe_\ud800", "x" * 10_000])
async def test_odd_ids_are_not_found(
    store: SqlProjectionWriter, reader: SqlProjectionReader, odd: str
) -> None:
    """Text that no id can hold names nothing, and is no error."""
    await (await Feed.of(store)).push(*SOME)
    assert await reader.entry("p", odd) is None
    assert await reader.event("p", odd) is None
    assert await reader.event(None, odd) is None
    assert not [row for row in await reader.events(EventQuery(resource_id=odd)) if row.resource_id != odd]


# Events

MIXED = [
    Said(
        f"e{n}",
        ("deleted", "failed", "ignored")[n % 3],
        resource_id=f"v{n % 5}",
        received=n // 2,
        project="pqr"[n % 3 if n % 4 else 0],
    )
    for n in range(24)
]


def in_order(rows: Sequence[EventRow]) -> list[tuple[int, str, str]]:
    return [(row.received_at, row.project, row.event_id) for row in rows]


@pytest.mark.parametrize(
    "query",
    [
        EventQuery(),
        EventQuery(project="p"),
        EventQuery(status="failed"),
        EventQuery(project="q", status="ignored"),
        EventQuery(type="voucher.deleted"),
        EventQuery(failure_code="handler_error"),
        EventQuery(channel="API", resource_type="voucher", resource_id="v3"),
        EventQuery(received_from=MOMENT + 3_000_000, received_until=MOMENT + 8_000_000),
        EventQuery(project="nobody"),
        EventQuery(channel="nul\0"),
    ],
)
async def test_events_come_newest_first_in_pages(
    store: SqlProjectionWriter, reader: SqlProjectionReader, query: EventQuery
) -> None:
    """Every filter, page by page, gives what filtering and sorting all events in memory gives."""
    await (await Feed.of(store)).push(*MIXED)
    everything = await reader.events(EventQuery(limit=100))
    assert len(everything) == len(MIXED)
    assert in_order(everything) == sorted(in_order(everything), reverse=True)
    named = {"project", "status", "type", "failure_code", "channel", "resource_type", "resource_id"}
    wanted = {name: value for name, value in query._asdict().items() if name in named and value is not None}
    expected = [
        row
        for row in everything
        if all(getattr(row, name) == value for name, value in wanted.items())
        and (query.received_from is None or query.received_from <= row.received_at)
        and (query.received_until is None or row.received_at < query.received_until)
    ]
    found: list[EventRow] = []
    after = None
    while rows := await reader.events(query._replace(limit=3, after=after)):
        found += rows
        after = in_order(rows)[-1]
    assert found == expected


async def test_an_event_is_found_without_its_project(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """An operator who only knows the event's id finds it, body included."""
    await (await Feed.of(store)).push(*MIXED)
    for said in MIXED:
        row = await reader.event(None, said.event_id)
        assert row is not None
        assert (row.project, row.body) == (said.project, said.delivery().body)


async def test_info_counts_without_counting(store: SqlProjectionWriter, reader: SqlProjectionReader) -> None:
    """Versions, positions, counts and the newest deliveries, as an operator sees them."""
    feed = await Feed.of(store)
    await feed.push(*MIXED[:12])
    await feed.push(*MIXED[6:])
    info = await reader.info()
    everything = await reader.events(EventQuery(limit=100))
    counted: dict[tuple[str, str], int] = {}
    for row in everything:
        counted[row.project, row.status] = counted.get((row.project, row.status), 0) + 1
    assert dict(info.events) == counted
    assert info.schema_version == info.latest_schema_version == latest_version()
    assert info.server_version.startswith("3." if info.kind == "sqlite" else "18.")
    assert info.address.startswith(f"{info.kind}://")
    assert [(row.consumer, row.next_offset, row.lease_owner) for row in info.checkpoints] == [
        ("projection", 30, "me")
    ]
    newest = {row.project: row.received_at for row in reversed(everything)}
    assert dict(info.last_deliveries) == newest
    await reader.ping()


async def test_a_frequent_name_is_found_in_every_zone(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """However many entries of a zone have a name, pages from any place hold them all in order."""
    feed = await Feed.of(store)
    names = {
        f"tbe_000{zone}{n:02}": f"{'AB'[(n * 7 + zone) % 3 // 2]}{n}" for zone in range(4) for n in range(9)
    }
    await feed.push(
        *(Said(f"e{id_}", "in_bin", f"v{id_}", name, 1, 1, entry_id=id_) for id_, name in names.items())
    )
    for text, order, in_order in itertools.product(("A", "B", "B8"), get_args(Order), (1, 100, 200)):
        reader._in_order = in_order
        condition = Condition("resource_name", "$starts_with", (text,))
        filters = Filters("and", (("resource_name", (condition,)),))
        expected = sorted((i for i, name in names.items() if name.startswith(text)), reverse=order == "-id")
        for limit, skipped in itertools.product((1, 3, 7), range(0, len(expected), 3)):
            after = expected[skipped - 1] if skipped else None
            page = await reader.list_bin("p", BinQuery(limit, order, after, filters))
            assert [entry.id for entry in page.entries] == expected[skipped : skipped + limit]
            assert page.has_more == (skipped + limit < len(expected))
