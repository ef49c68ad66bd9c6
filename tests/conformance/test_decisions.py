"""Operators' decisions about events, as the projection takes them in, on both databases."""

import json
from dataclasses import dataclass
from typing import NamedTuple

from consumer.projection.base import EventQuery, EventRow, Outcome
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.store import SqlProjectionWriter
from schemas.events import Delivery
from schemas.trash_bin import BinQuery
from tests.projection_kit import Feed, Said, interpret, writer

DISCARD = Said("x1", "discarded", name="e1", occurred=20, received=20, user="ann", parent="a typo")
REDRIVE = Said("x2", "redriven", name="e1", occurred=20, received=20, user="ann")
FAILED = Said("e1", "failed")


class Seen(NamedTuple):
    """What there is to see after all."""

    status: str
    attempts: int
    in_bin: list[str]
    counts: dict[str, int]


async def seen(reader: SqlProjectionReader, event_id: str = "e1") -> Seen:
    row = await reader.event("p", event_id)
    page = await reader.list_bin("p", BinQuery(limit=100))
    counts = {status: number for (_, status), number in (await reader.info()).events.items()}
    assert row is not None
    return Seen(row.status, row.attempts, sorted(entry.key.resource_id for entry in page.entries), counts)


@dataclass
class Mended:
    """The little language, whose failed events become deletions once the handler is mended."""

    is_mended: bool = False

    def __call__(self, delivery: Delivery, offset: int) -> Outcome:
        said = Said(*json.loads(delivery.body))
        if not self.is_mended or said.kind not in {"failed", "ignored"}:
            return interpret(delivery, offset)
        outcome = interpret(said._replace(kind="deleted").delivery(), offset)
        return outcome._replace(body=delivery.body)


async def test_discarded_event(store: SqlProjectionWriter, reader: SqlProjectionReader) -> None:
    """A failed event that is discarded stays so, whatever is delivered later."""
    feed = await Feed.of(store)
    await feed.push(FAILED)
    await feed.push(DISCARD)
    assert await seen(reader) == ("discarded", 1, [], {"discarded": 1, "applied": 1})
    await feed.push(Said("e1", "deleted"), DISCARD)
    assert (await seen(reader))[2:] == ([], {"discarded": 1, "applied": 1})
    row = await reader.event("p", "e1")
    assert row is not None
    assert (row.status, row.deliveries, row.failure_code, row.resource_name) == ("discarded", 2, None, "CODE")


async def test_discarded_before_it_came(store: SqlProjectionWriter, reader: SqlProjectionReader) -> None:
    """A decision that comes before its event holds all the same."""
    feed = await Feed.of(store)
    await feed.push(DISCARD)
    assert (await seen(reader)).status == "discarded"
    await feed.push(Said("e1", "deleted"))
    assert await seen(reader) == ("discarded", 1, [], {"discarded": 1, "applied": 1})


async def test_discarding_what_was_applied(store: SqlProjectionWriter, reader: SqlProjectionReader) -> None:
    """An event that was applied meanwhile is taken out of its entry again, whatever else made it."""
    feed = await Feed.of(store)
    await feed.push(Said("e1"), Said("e2", occurred=1, name="OTHER"), Said("e3", resource_id="v2"))
    await feed.push(DISCARD)
    first, second = sorted((await reader.list_bin("p", BinQuery(limit=100))).entries)
    assert first.fields is not None
    assert (first.snapshot_event_id, first.fields.resource_name) == ("e2", "OTHER")
    await feed.push(Said("x9", "discarded", name="e3"))
    assert (await seen(reader)).in_bin == ["v1"]
    assert second.key.resource_id == "v2"


async def test_discarded_and_delivered_in_one_batch(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """Decision and event in one batch, in either order, leave nothing in the bin."""
    feed = await Feed.of(store)
    await feed.push(Said("e1"), DISCARD)
    await feed.push(Said("x9", "discarded", name="e2"), Said("e2", resource_id="v2"))
    assert await seen(reader, "e1") == ("discarded", 1, [], {"discarded": 2, "applied": 2})
    assert (await seen(reader, "e2")).status == "discarded"


async def test_redriving_what_still_fails(store: SqlProjectionWriter, reader: SqlProjectionReader) -> None:
    """Another attempt is counted, nothing else; the same decision again is none."""
    feed = await Feed.of(store)
    await feed.push(FAILED)
    result = await feed.push(REDRIVE)
    assert result.by_status == {"applied": 1, "failed": 1}
    await feed.push(REDRIVE)
    assert await seen(reader) == ("failed", 2, [], {"failed": 1, "applied": 1})


async def test_redriving_after_a_handler_was_mended(address: str, reader: SqlProjectionReader) -> None:
    """Failed and ignored events are handled by today's code and change the bin."""
    understands = Mended()
    store = writer(address, interpret=understands)
    await store.start()
    feed = await Feed.of(store)
    await feed.push(FAILED, Said("e2", "ignored", resource_id="v2"))
    understands.is_mended = True
    result = await feed.push(REDRIVE, Said("x3", "redriven", name="e2"))
    assert (result.by_status, result.entries_changed) == ({"applied": 4}, 2)
    assert await seen(reader) == ("applied", 2, ["v1", "v2"], {"applied": 4})
    row = await reader.event("p", "e1")
    assert row is not None
    assert (row.failure_code, row.failure_message, row.offset) == (None, None, 0)
    # Redriven again, or discarded after all.
    await feed.push(Said("x4", "redriven", name="e1"))
    assert (await seen(reader)).attempts == 2
    await feed.push(DISCARD)
    assert (await seen(reader)).in_bin == ["v2"]
    await store.stop()


async def test_redriving_the_unknown_and_the_discarded(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """A discarded event stays discarded; one that has not come leaves no trace."""
    feed = await Feed.of(store)
    await feed.push(REDRIVE)
    assert await reader.event("p", "e1") is None
    await feed.push(FAILED, DISCARD, Said("x5", "redriven", name="e1"))
    assert (await seen(reader)).status == "discarded"


async def test_redriven_decision(address: str, reader: SqlProjectionReader) -> None:
    """A decision that failed is carried out when it is redriven."""
    understands = Mended()

    def reads(delivery: Delivery, offset: int) -> Outcome:
        said = Said(*json.loads(delivery.body))
        if understands.is_mended and said.event_id == "x6":
            decision = said._replace(kind="discarded").delivery()
            return interpret(decision, offset)._replace(body=delivery.body)
        return interpret(delivery, offset)

    store = writer(address, interpret=reads)
    await store.start()
    feed = await Feed.of(store)
    await feed.push(Said("e1"), Said("x6", "failed", name="e1"))
    understands.is_mended = True
    await feed.push(Said("x7", "redriven", name="x6"))
    assert (await seen(reader)).status == "discarded"
    assert (await seen(reader, "x6")).status == "applied"
    await store.stop()


async def test_foreign_records_are_never_handled(address: str, reader: SqlProjectionReader) -> None:
    """What came without our headers is not taken for a webhook by redriving it."""
    understands = Mended()
    store = writer(address, interpret=understands)
    await store.start()
    feed = await Feed.of(store)
    outcome = FAILED.outcome(0)
    assert outcome.event.failure is not None
    foreign = outcome.event._replace(failure=outcome.event.failure._replace(code="foreign_record"))
    await feed.push_outcomes([outcome._replace(event=foreign)])
    understands.is_mended = True
    await feed.push(REDRIVE)
    assert await seen(reader) == ("failed", 1, [], {"failed": 1, "applied": 1})
    await store.stop()


async def test_stored_event_keeps_its_id(address: str, reader: SqlProjectionReader) -> None:
    """Today's code may read another id out of a stored payload: it is the same event still."""
    understands = Mended()

    def reads(delivery: Delivery, offset: int) -> Outcome:
        outcome = understands(delivery, offset)
        if not understands.is_mended or outcome.decision is not None:
            return outcome
        changes = tuple(change._replace(event_id="new") for change in outcome.changes)
        return outcome._replace(event=outcome.event._replace(event_id="new"), changes=changes)

    store = writer(address, interpret=reads)
    await store.start()
    feed = await Feed.of(store)
    await feed.push(FAILED)
    understands.is_mended = True
    await feed.push(REDRIVE)
    (entry,) = (await reader.list_bin("p", BinQuery(limit=10))).entries
    assert entry.snapshot_event_id == "e1"
    rows: list[EventRow] = list(await reader.events(EventQuery(project="p")))
    assert sorted(row.event_id for row in rows) == ["e1", "x2"]
    await store.stop()
