"""What publishing keeps: one holder of the lease, a checkpoint that only the holder moves."""

from collections.abc import AsyncIterator

import pytest

from consumer.errors import FencedError
from consumer.projection.changes import SqlChanges
from consumer.projection.changes_base import Cursor
from consumer.projection.publisher_base import Published
from consumer.projection.publisher_store import SqlPublisherStore
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.store import SqlProjectionWriter
from tests.projection_kit import Feed, Said, eventually

CURSOR = Cursor("log-1", "1-abc", {0: 7, 3: 9}, 1)
PUBLISHED = Published(CURSOR, 6, {0: 10, 5: 2})


@pytest.fixture
async def kept(address: str) -> AsyncIterator[SqlPublisherStore]:
    """A started store."""
    side = SqlPublisherStore(address, "bin-entries")
    await side.start()
    yield side
    await side.stop()


async def test_one_process_holds_the_lease(kept: SqlPublisherStore) -> None:
    """Another one is told who; it gets it when it is let go, or has run out, and then the first is fenced."""
    first = await kept.acquire("one", 30)
    assert isinstance(first, int)
    assert await kept.acquire("two", 30) == "one"
    assert (await kept.look()).holder == "one"
    await kept.renew(first, 30)
    await kept.release(first)
    assert (await kept.look()).holder is None
    second = await kept.acquire("two", 0.05)
    assert isinstance(second, int)
    assert second > first

    async def run_out() -> bool:
        return isinstance(await kept.acquire("three", 30), int)

    await eventually(run_out)
    for fenced in (first, second):
        with pytest.raises(FencedError):
            await kept.renew(fenced, 30)
        with pytest.raises(FencedError):
            await kept.note(fenced, PUBLISHED)
        with pytest.raises(FencedError):
            await kept.forget(fenced)
        await kept.release(fenced)
    assert (await kept.look()).holder == "three"
    assert await kept.published() is None


async def test_a_clock_set_back(kept: SqlPublisherStore) -> None:
    """A lease given when the database's clock was an hour ahead keeps nobody out."""
    early = await kept.acquire("one", 3600)
    assert isinstance(early, int)
    assert (await kept.look()).holder is None
    assert isinstance(await kept.acquire("two", 30), int)
    with pytest.raises(FencedError):
        await kept.renew(early, 30)


async def test_the_checkpoint_reads_back(kept: SqlPublisherStore) -> None:
    """Cursor and ends as noted, and when everything was published; forgotten it is not known."""
    epoch = await kept.acquire("one", 30)
    assert isinstance(epoch, int)
    await kept.note(epoch, PUBLISHED, whole=True)
    found = await kept.published()
    assert found is not None
    assert found[:3] == PUBLISHED[:3]
    assert found.whole_at > 0
    later = PUBLISHED._replace(cursor=Cursor("log-1", "1-abc", {0: 8}))
    await kept.note(epoch, later)
    again = await kept.published()
    assert again is not None
    assert again.cursor == later.cursor
    assert again.whole_at == found.whole_at
    assert again.published_at >= found.published_at
    await kept.forget(epoch)
    assert await kept.published() is None


async def test_topics_do_not_share_anything(kept: SqlPublisherStore, address: str) -> None:
    """Each topic has a lease and a checkpoint of its own."""
    other = SqlPublisherStore(address, "other-entries")
    await other.start()
    epoch = await kept.acquire("one", 30)
    assert isinstance(epoch, int)
    assert isinstance(await other.acquire("two", 30), int)
    await kept.note(epoch, PUBLISHED)
    assert await other.published() is None
    await other.stop()


async def test_how_far_it_is_behind(
    kept: SqlPublisherStore, store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """The records applied since; unknown while everything has to be published."""
    feed, other = await Feed.of(store, partition=0), await Feed.of(store, partition=1)
    await feed.push(*(Said(f"e{n}", resource_id=f"v{n}") for n in range(5)))
    assert (await kept.look()).behind is None
    epoch = await kept.acquire("one", 30)
    assert isinstance(epoch, int)
    now = await SqlChanges(reader._pool).now()
    await kept.note(epoch, Published(now, 1, {}))
    assert (await kept.look()).behind == 0
    await feed.push(Said("e9", resource_id="v9"))
    await other.push(Said("f1", resource_id="w1"), Said("f2", resource_id="w2"))
    assert (await kept.look()).behind == 3
    assert await kept.positions() == {0: 6, 1: 2}
