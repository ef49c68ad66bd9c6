"""The contract of "what changed since", on SQLite and PostgreSQL."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import delete, text

from consumer.errors import CursorExpiredError, ProjectionUnavailableError
from consumer.projection.changes import SqlChanges
from consumer.projection.changes_base import BEGINNING, ChangedEntry
from consumer.projection.control_tables import generations
from consumer.projection.engines import open_engine
from consumer.projection.read_pool import ReadPool
from consumer.projection.store import SqlProjectionWriter
from consumer.types import Position
from tests.projection_kit import LOG, Feed, Said, writer


@pytest.fixture
async def changes(address: str) -> AsyncIterator[SqlChanges]:
    pool = ReadPool(address)
    await pool.start()
    yield SqlChanges(pool)
    await pool.stop()


def told(found: Sequence[ChangedEntry]) -> list[tuple[str, str | None]]:
    return [(change.key.resource_id, change.entry and change.entry.state) for change in found]


async def test_a_projection_that_no_worker_has_begun(changes: SqlChanges, store: SqlProjectionWriter) -> None:
    """There is nothing to tell yet, and the cursor that says so goes on once there is."""
    page = await changes.changes(None, None, 10)
    assert (page.changes, page.cursor, page.caught_up) == ([], BEGINNING, True)
    assert await changes.now() == BEGINNING
    feed = await Feed.of(store)
    await feed.push(Said())
    page = await changes.changes(None, page.cursor, 10)
    assert told(page.changes) == [("v1", "deleted")]
    assert page.changes[0].position == Position(0, 0)


async def test_each_change_is_told_in_turn(changes: SqlChanges, store: SqlProjectionWriter) -> None:
    """What changed after the cursor, as it is now; what only counts is not told."""
    feed = await Feed.of(store)
    await feed.push(Said(), Said("e2", resource_id="v2"))
    first = await changes.changes("p", None, 10)
    assert told(first.changes) == [("v1", "deleted"), ("v2", "deleted")]
    assert first.caught_up
    await feed.push(Said(delivery_id="d2"), Said("e3", "ignored"), Said("e4", "vanished", occurred=5))
    second = await changes.changes("p", first.cursor, 10)
    assert told(second.changes) == [("v1", "vanished")]
    assert second.changes[0].position == Position(0, 4)
    assert (await changes.changes("p", second.cursor, 10)).changes == []
    assert (await changes.now()).offsets == second.cursor.offsets == {0: 5}


async def test_a_new_id_is_a_change(changes: SqlChanges, store: SqlProjectionWriter) -> None:
    """When Voucherify's own id becomes known, followers are told."""
    feed = await Feed.of(store)
    await feed.push(Said(), Said("e2", "in_bin", occurred=1, entry_id="tbe_a"))
    cursor = await changes.now()
    await feed.push(Said("e3", "in_bin", occurred=2, entry_id="tbe_b"))
    page = await changes.changes("p", cursor, 10)
    assert [change.entry and change.entry.id for change in page.changes] == ["tbe_b"]


async def test_an_entry_whose_events_are_discarded_is_told_as_gone(
    changes: SqlChanges, store: SqlProjectionWriter
) -> None:
    """It is told as gone until it comes back, then as what it is, to late followers too."""
    feed = await Feed.of(store)
    await feed.push(Said(), Said("e2", resource_id="v2"))
    cursor = await changes.now()
    await feed.push(Said("x1", "discarded", name="e1"))
    gone = await changes.changes("p", cursor, 10)
    assert told(gone.changes) == [("v1", None)]
    assert gone.changes[0].position == Position(0, 2)
    assert told((await changes.changes("p", None, 10)).changes) == [("v2", "deleted"), ("v1", None)]
    await feed.push(Said("e5", occurred=1))
    assert told((await changes.changes("p", gone.cursor, 10)).changes) == [("v1", "deleted")]
    assert told((await changes.changes("p", None, 10)).changes) == [("v2", "deleted"), ("v1", "deleted")]
    await feed.push(Said("x2", "discarded", name="e5"))
    assert told((await changes.changes("p", gone.cursor, 10)).changes) == [("v1", None)]


async def test_a_decision_that_is_redriven_moves_the_entry(
    changes: SqlChanges, store: SqlProjectionWriter
) -> None:
    """What an old record does when it is handled again is told now, not at its own place."""
    feed = await Feed.of(store)
    decision = Said("x1", "discarded", name="e1")
    failed = decision.outcome(0)
    failed = failed._replace(status="failed", decision=None)
    await feed.push_outcomes([failed, Said().outcome(1)])
    cursor = await changes.now()
    assert told((await changes.changes("p", None, 10)).changes) == [("v1", "deleted")]
    await feed.push(Said("x2", "redriven", name="x1"))
    assert told((await changes.changes("p", cursor, 10)).changes) == [("v1", None)]


async def test_small_pages_come_round_to_every_partition(
    changes: SqlChanges, store: SqlProjectionWriter
) -> None:
    """Partitions take turns, however small the page; within one the order is that of the log."""
    feeds = [await Feed.of(store, partition=partition) for partition in range(3)]
    for feed in feeds:
        await feed.push(
            *(Said(f"e{feed.partition}{n}", resource_id=f"{feed.partition}{n}") for n in range(4))
        )
    cursor, seen = None, []
    for _ in range(12):
        page = await changes.changes("p", cursor, 1)
        cursor = page.cursor
        seen += [change.position for change in page.changes]
    assert page.caught_up
    assert sorted(seen) == [Position(partition, n) for partition in range(3) for n in range(4)]
    assert {position.partition for position in seen[:3]} == {0, 1, 2}
    page = await changes.changes(None, None, 6)
    assert [change.position for change in page.changes] == [(p, n) for p in range(3) for n in range(2)]
    assert not page.caught_up


async def test_others_changes_are_passed_over(changes: SqlChanges, store: SqlProjectionWriter) -> None:
    """A page of one project does not read all of another's: it may be empty and say to go on."""
    feed = await Feed.of(store)
    for start in range(0, 60_000, 6_000):
        ids = range(start, start + 6_000)
        await feed.push(*(Said(f"e{n}", resource_id=f"v{n}", project="other") for n in ids))
    await feed.push(Said("e1"))
    page = await changes.changes("p", None, 10)
    assert (page.changes, page.caught_up) == ([], False)
    page = await changes.changes("p", page.cursor, 10)
    assert (told(page.changes), page.caught_up) == ([("v1", "deleted")], True)


async def test_cursors_that_cannot_be_gone_on_from(
    changes: SqlChanges, store: SqlProjectionWriter, address: str
) -> None:
    """Of another log, another generation, or ahead: refused. A partition that is missing counts as 0."""
    feed = await Feed.of(store)
    await feed.push(Said())
    cursor = await changes.now()
    assert cursor.log_id == LOG
    assert told((await changes.changes("p", replace(cursor, offsets={}), 10)).changes) == [("v1", "deleted")]
    wrong = (
        replace(cursor, log_id="another"),
        replace(cursor, generation="1-0000000000000000"),
        replace(cursor, offsets={0: 2}),
        replace(cursor, offsets={0: 1, 7: 1}),
    )
    for other in wrong:
        with pytest.raises(CursorExpiredError):
            await changes.changes("p", other, 10)
    anew(address)
    side = writer(address)
    await side.start()
    await Feed.of(side)
    await side.stop()
    with pytest.raises(CursorExpiredError):
        await changes.changes("p", cursor, 10)


def anew(address: str) -> None:
    database = open_engine(address, "write")
    with database.engine.begin() as connection:
        connection.execute(delete(generations))
    database.engine.dispose()


async def test_the_page_is_found_by_its_index(store: SqlProjectionWriter, address: str) -> None:
    """No sorting of all entries for one page."""
    feed = await Feed.of(store)
    await feed.push(*(Said(f"e{n}", resource_id=f"v{n}") for n in range(2_000)))
    database = open_engine(address, "write")
    asked = (
        "SELECT * FROM bin_entries WHERE changed_partition = 0 AND changed_offset BETWEEN 1500 AND 1999 "
        "ORDER BY changed_offset, project, resource_type, resource_id LIMIT 10"
    )
    with database.engine.begin() as connection:
        if database.kind == "postgresql":
            connection.execute(text("ANALYZE bin_entries"))
        word = "EXPLAIN QUERY PLAN" if database.kind == "sqlite" else "EXPLAIN"
        plan = "\n".join(map(str, connection.execute(text(f"{word} {asked}"))))
    database.engine.dispose()
    assert "bin_entries_changed" in plan


async def test_who_catches_up_leaves_threads_to_others(address: str, store: SqlProjectionWriter) -> None:
    """However many followers read at once, another reading does not wait for all of them."""
    pool = ReadPool(address, readers=2)
    await pool.start()
    changes = SqlChanges(pool, at_once=1)
    await (await Feed.of(store)).push(*(Said(f"e{n}", resource_id=f"v{n}") for n in range(50)))
    reading = [asyncio.create_task(changes.changes("p", None, 50)) for _ in range(40)]
    await asyncio.sleep(0)  # so that they all have asked
    assert await pool.read(lambda connection: connection.scalar(text("SELECT 1"))) == 1
    assert sum(task.done() for task in reading) < len(reading) / 2
    assert all(len(page.changes) == 50 for page in await asyncio.gather(*reading))
    await pool.stop()


async def test_who_waits_for_a_turn_gives_up(address: str, store: SqlProjectionWriter) -> None:
    """While a database does not answer, followers that wait for others to be served are told so in time."""
    pool, frozen = ReadPool(address, readers=1), threading.Event()
    await pool.start()
    changes = SqlChanges(pool, at_once=1, patience=0.05)
    await (await Feed.of(store)).push(Said())
    thread = asyncio.create_task(pool.read(lambda _: frozen.wait(30)))
    await asyncio.sleep(0)  # so that it has the thread
    first = asyncio.create_task(changes.changes("p", None, 1))
    others = [asyncio.create_task(changes.changes("p", None, 1)) for _ in range(3)]
    refused = await asyncio.gather(*others, return_exceptions=True)
    assert {type(each) for each in refused} == {ProjectionUnavailableError}
    frozen.set()
    assert len((await first).changes) == 1
    await thread
    assert len((await changes.changes("p", None, 1)).changes) == 1
    await pool.stop()
