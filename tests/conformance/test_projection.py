"""The writer's contract, on SQLite and PostgreSQL: events and entries."""

import asyncio
from typing import Any

import pytest

from consumer.errors import (
    DataRejectedError,
)
from consumer.projection.base import EventQuery, EventRow
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.store import SqlProjectionWriter
from handlers.changes import Entry
from schemas.trash_bin import BinQuery
from tests.projection_kit import MOMENT, Feed, Said, interpret, writer


async def listed(reader: SqlProjectionReader, project: str = "p") -> list[Entry]:
    page = await reader.list_bin(project, BinQuery(limit=100))
    assert not page.has_more
    return list(page.entries)


async def stored(reader: SqlProjectionReader, event_id: str = "e1") -> EventRow:
    row = await reader.event("p", event_id)
    assert row is not None
    return row


async def test_an_event_is_stored_and_makes_an_entry(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """Everything that came with the event can be read back."""
    feed = await Feed.of(store)
    said = Said(parent="camp_1", user="user_1", delivery_id="whs_1")
    result = await feed.push(said)
    assert result == (1, 0, {"applied": 1}, 1)
    (entry,) = await listed(reader)
    assert entry == await reader.entry("p", entry.id)
    assert entry.state == "deleted"
    assert entry.id == entry.provisional_id == entry.sort_key
    assert entry.fields == (MOMENT, "CODE", "camp_1", "user_1")
    outcome = said.outcome(0)
    event = outcome.event._asdict()
    assert event.pop("failure") is event.pop("data") is None
    assert await stored(reader) == EventRow(
        **event,
        status="applied",
        failure_code=None,
        failure_message=None,
        attempts=1,
        deliveries=1,
        partition=0,
        offset=0,
        body=outcome.body,
    )
    assert [row.body for row in await reader.events(EventQuery(project="p"))] == [None]


async def test_a_failed_event_is_stored_with_its_reason(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """A failed event changes no entry, and says why."""
    feed = await Feed.of(store)
    assert await feed.push(Said(kind="failed"), Said("e2", "ignored")) == (
        2,
        0,
        {"failed": 1, "ignored": 1},
        0,
    )
    row = await stored(reader)
    assert (row.status, row.failure_code) == ("failed", "handler_error")
    assert row.failure_message == "CODE cannot be applied"
    assert await listed(reader) == []


@pytest.mark.parametrize("batches", [1, 4])
async def test_duplicates_only_count(
    store: SqlProjectionWriter, reader: SqlProjectionReader, batches: int
) -> None:
    """Later deliveries of an applied event change its count alone, in one batch or in several."""
    feed = await Feed.of(store)
    said = [
        Said(),
        Said(received=11, delivery_id="d2", name="OTHER"),
        Said("e1", "failed", received=1),
        Said(),
    ]
    duplicates = 0
    for start in range(0, 4, 4 // batches):
        duplicates += (await feed.push(*said[start : start + 4 // batches])).duplicates
    assert duplicates == 3
    row = await stored(reader)
    assert (row.deliveries, row.attempts, row.status, row.resource_name) == (4, 1, "applied", "CODE")
    (entry,) = await listed(reader)
    assert entry.fields is not None
    assert entry.fields.resource_name == "CODE"


@pytest.mark.parametrize("batches", [1, 3])
async def test_a_failed_event_is_handled_again(
    store: SqlProjectionWriter, reader: SqlProjectionReader, batches: int
) -> None:
    """A redelivery of a failed event that can be applied is, whenever it was received."""
    feed = await Feed.of(store)
    said = [
        Said(kind="failed", received=5, name="A"),
        Said(kind="failed", received=4, name="B"),
        Said(received=9),
    ]
    for start in range(0, 3, 3 // batches):
        await feed.push(*said[start : start + 3 // batches])
    row = await stored(reader)
    assert (row.deliveries, row.attempts, row.status, row.failure_code) == (3, 3, "applied", None)
    assert len(await listed(reader)) == 1


@pytest.mark.parametrize("batches", [1, 2])
async def test_the_least_failed_delivery_is_shown(
    store: SqlProjectionWriter, reader: SqlProjectionReader, batches: int
) -> None:
    """Of several failed deliveries the content is that of the first received."""
    feed = await Feed.of(store)
    said = [Said(kind="failed", received=5, name="A"), Said(kind="failed", received=4, name="B")]
    for start in range(0, 2, 2 // batches):
        await feed.push(*said[start : start + 2 // batches])
    row = await stored(reader)
    assert (row.failure_message, row.attempts, row.deliveries) == ("B cannot be applied", 2, 2)


async def test_an_earlier_delivery_corrects_its_entry(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """Content comes from the least delivery: the entry is folded anew, and keeps its place."""
    feed = await Feed.of(store)
    await feed.push(Said(received=20, name="LATE", occurred=15), Said("e2", occurred=17, received=30))
    (before,) = await listed(reader)
    result = await feed.push(Said(received=19, name="EARLY", occurred=19))
    assert result == (0, 1, {"applied": 1}, 1)
    (entry,) = await listed(reader)
    assert entry.snapshot_event_id == "e2"
    assert entry.sort_key == before.sort_key
    assert entry.id != before.id
    assert (await stored(reader)).resource_name == "EARLY"
    assert await reader.entry("p", before.id) == entry


async def test_a_correction_may_move_to_another_resource(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """When the least delivery names another resource, the entry that nothing supports any more goes."""
    feed = await Feed.of(store)
    await feed.push(Said(received=20))
    result = await feed.push(Said(received=19, resource_id="v2"), Said("e3", resource_id="v2", occurred=3))
    assert result.entries_changed == 2
    assert [entry.key.resource_id for entry in await listed(reader)] == ["v2"]
    info = await reader.info()
    assert dict(info.entries) == {("p", "voucher", "deleted"): 1}


async def test_a_correction_may_take_an_event_out(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """A least delivery that changes nothing leaves the entry to its other events."""
    feed = await Feed.of(store)
    await feed.push(Said(received=20), Said("e2", occurred=5))
    await feed.push(Said(kind="ignored", received=1))
    (entry,) = await listed(reader)
    assert entry.snapshot_event_id == "e2"
    assert dict((await reader.info()).events) == {("p", "ignored"): 1, ("p", "applied"): 1}


async def test_equal_deliveries_are_told_apart_by_their_bodies(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """Two contents under one delivery id and time: the lesser body counts, whichever came first."""
    feed = await Feed.of(store)
    await feed.push(Said(name="B"), Said("e2", name="A", resource_id="v2"))
    await feed.push(Said(name="A"), Said("e2", name="B", resource_id="v2"))
    assert [(await stored(reader, each)).resource_name for each in ("e1", "e2")] == ["A", "A"]


async def test_states_fold(store: SqlProjectionWriter, reader: SqlProjectionReader) -> None:
    """Confirmed, vanished and purged entries: the later evidence wins, purged is final."""
    feed = await Feed.of(store)
    await feed.push(Said())
    await feed.push(Said("o1", "in_bin", occurred=5, name="REAL", entry_id="tbe_real"))
    (entry,) = await listed(reader)
    assert (entry.state, entry.id, entry.fields and entry.fields.resource_name) == (
        "in_bin",
        "tbe_real",
        "REAL",
    )
    assert entry.provisional_id is not None
    for known in ("tbe_real", entry.provisional_id, entry.sort_key):
        assert await reader.entry("p", known) == entry
    await feed.push(Said("x1", "vanished", occurred=6))
    assert await listed(reader) == []
    gone = await reader.entry("p", "tbe_real")
    assert gone is not None
    assert gone.state == "vanished"
    await feed.push(Said("e9", occurred=7), Said("x2", "purged", occurred=1), Said("e10", occurred=9))
    assert await listed(reader) == []
    assert dict((await reader.info()).entries) == {("p", "voucher", "purged"): 1}


async def test_entries_of_other_projects_stay_apart(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """The same event id and resource id in two projects are two events and two entries."""
    feed = await Feed.of(store)
    await feed.push(Said(), Said(project="q", name="OTHER"))
    for project, name in (("p", "CODE"), ("q", "OTHER")):
        (entry,) = await listed(reader, project)
        assert entry.fields is not None
        assert entry.fields.resource_name == name
        assert await reader.entry("r", entry.id) is None


@pytest.mark.parametrize(
    "bad",
    [
        {"resource_id": "nul\0inside"},
        {"event_id": "nul\0"},
        {"user_id": "\0"},
        {"type": "lone \ud800"},
        {"occurred_at": 2**63},
        {"received_at": -(2**70)},
    ],
)
async def test_refused_values_roll_the_batch_back(
    store: SqlProjectionWriter, reader: SqlProjectionReader, bad: dict[str, Any]
) -> None:
    """What a database cannot hold is DataRejectedError on both, and nothing of the batch stays."""
    feed = await Feed.of(store)
    good = Said("e2", resource_id="v2").outcome(0)
    outcome = Said(kind="ignored").outcome(1)
    with pytest.raises(DataRejectedError):
        await store.commit(feed.batch([good, outcome._replace(event=outcome.event._replace(**bad))]))
    assert await reader.events(EventQuery()) == []
    assert await listed(reader) == []
    await feed.push_outcomes([good])


async def test_refused_values_of_redeliveries(store: SqlProjectionWriter) -> None:
    """The same holds where a stored event would be changed."""
    feed = await Feed.of(store)
    await feed.push(Said(kind="failed"))
    outcome = Said().outcome(1)
    for bad in ({"resource_name": "\0"}, {"occurred_at": 2**63}, {"user_id": "\udfff"}):
        with pytest.raises(DataRejectedError):
            await store.commit(feed.batch([outcome._replace(event=outcome.event._replace(**bad))]))
    await feed.push(Said())


async def test_two_workers_on_one_entry_merge(address: str, reader: SqlProjectionReader) -> None:
    """Transactions of two partitions that meet in the same entries lose nothing of either."""
    sides = [writer(address), writer(address)]
    for side in sides:
        await side.start()
    feeds = [await Feed.of(side, partition=number) for number, side in enumerate(sides)]
    resources = 40

    async def feed(number: int) -> None:
        order = range(resources) if number else reversed(range(resources))
        for resource in order:
            one = Said(
                f"e{number}.{resource}", resource_id=f"v{resource}", occurred=1 + number, name=f"N{number}"
            )
            await feeds[number].push(one, one._replace(event_id=f"f{number}.{resource}", occurred=5))

    await asyncio.gather(feed(0), feed(1))
    found = await listed(reader)
    assert len(found) == resources
    assert {entry.snapshot_event_id for entry in found} == {f"e0.{number}" for number in range(resources)}
    assert {entry.fields and entry.fields.resource_name for entry in found} == {"N0"}
    assert dict((await reader.info()).entries) == {("p", "voucher", "deleted"): resources}
    for side in sides:
        await side.stop()


def test_the_little_language_is_pure() -> None:
    """The same delivery always has the same outcome."""
    said = Said()
    assert interpret(said.delivery(), 4) == said.outcome(4)
