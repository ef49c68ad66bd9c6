"""Pages of the event log, and numbers, on SQLite and PostgreSQL."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from consumer.projection.base import EventQuery, EventRow
from consumer.projection.engines import open_engine
from consumer.projection.mirror import SqlMirror, _horizon
from consumer.projection.read_pool import ReadPool
from consumer.projection.store import SqlProjectionWriter
from schemas.times import HOUR
from tests.projection_kit import MOMENT, Feed, Said

SOME = [
    Said(f"e{n}", "failed" if n % 7 == 0 else "deleted", f"v{n}", received=n // 3 * 600, occurred=n)
    for n in range(60)
]


@pytest.fixture
async def mirror(address: str, store: SqlProjectionWriter) -> AsyncIterator[SqlMirror]:
    """One that looks seven events far, over sixty and two rare ones."""
    feed = await Feed.of(store)
    rare = [Said("rare1", "vanished", "v1", received=1), Said("rare2", "vanished", "v2", received=9_000)]
    await feed.push(*SOME, *rare, Said("other", project="q"))
    pool = ReadPool(address)
    await pool.start()
    yield SqlMirror(pool, far=7)
    await pool.stop()


async def walk(mirror: SqlMirror, query: EventQuery) -> tuple[list[EventRow], int]:
    found: list[EventRow] = []
    pages = 0
    while True:
        page = await mirror.events(query)
        pages += 1
        found += page.events
        if page.more_after is None:
            return found, pages
        received_at, event_id = page.more_after
        assert query.after is None or (received_at, event_id) < (query.after[0], query.after[2])
        query = query._replace(after=(received_at, "p", event_id))


@pytest.mark.parametrize("limit", [1, 2, 7, 8, 50])
@pytest.mark.parametrize(
    ("filters", "count"),
    [({}, 62), ({"type": "voucher.vanished"}, 2), ({"status": "failed"}, 9), ({"resource_id": "v1"}, 2)],
)
async def test_pages(mirror: SqlMirror, filters: dict[str, str], count: int, limit: int) -> None:
    """Whatever is asked for, pages of any size come to an end and hold each match once, newest first."""
    found, pages = await walk(mirror, EventQuery(project="p", limit=limit, **filters))  # type: ignore[arg-type]  # filters of the query, by name
    keys = [(row.received_at, row.event_id) for row in found]
    assert keys == sorted(set(keys), reverse=True)
    assert len(found) == count
    if filters == {"type": "voucher.vanished"}:
        assert pages >= 62 // 7


async def test_numbers(mirror: SqlMirror) -> None:
    """Counts are the project's own, by the hour of receipt."""
    start = MOMENT // HOUR * HOUR
    end = start + 100 * HOUR
    stats = await mirror.stats("p", start, end)
    assert stats.events == {"applied": 53, "failed": 9}
    assert sum(stats.entries.values()) == 53 - 2 + 0
    assert sum(stats.received.values()) == 62
    assert all(hour % HOUR == 0 for hour in stats.received)
    assert stats.failures == {"handler_error": 9}
    assert [(row.partition, row.next_offset) for row in stats.partitions] == [(0, 63)]
    cut = start + 2 * HOUR
    earlier, later = await mirror.stats("p", start, cut), await mirror.stats("p", cut, end)
    assert len(earlier.received) == 2
    assert {**earlier.received, **later.received} == stats.received
    assert not earlier.received.keys() & later.received.keys()


async def test_the_horizon_is_read_from_an_index(address: str, mirror: SqlMirror) -> None:
    """How far a page looks is found without reading events."""
    del mirror
    database = open_engine(address, "write")
    with database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
        query = _horizon("p", EventQuery(after=(MOMENT, "p", "e5")), 5)
        compiled = query.compile(database.engine, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN " if database.kind == "sqlite" else "EXPLAIN "
        if database.kind == "postgresql":
            connection.execute(text("SET enable_seqscan = off"))
        plan = "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain}{compiled}"))
    database.engine.dispose()
    assert "events_newest" in plan, plan
