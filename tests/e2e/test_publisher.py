"""The publisher on a real topic: a subscriber's copy is the bin, whatever happened to it, to the
projection, to the topic.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.projection.changes_base import Changes, ChangesPage, Cursor
from consumer.projection.migrate import migrate
from consumer.projection.publisher_store import SqlPublisherStore
from consumer.projection.read_pool import ReadPool
from tests.entries_kit import COMPACTED, Subscriber
from tests.projection_kit import Feed, Said, eventually, writer
from tests.publisher_kit import Publishing, bin_as_published, publishing
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture
def topic(kafka_broker: KafkaBroker, kafka_topic: str) -> str:
    name = f"{kafka_topic}-entries"
    kafka_broker.create_topic(name, configs=COMPACTED)
    return name


@pytest.fixture
def projection(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/bin.db"
    migrate(address)
    return address


@pytest.fixture
async def feed(projection: str) -> AsyncIterator[Feed]:
    side = writer(projection)
    await side.start()
    yield await Feed.of(side)
    await side.stop()


async def same(subscriber: Subscriber, address: str) -> None:
    """Wait until the copy is the bin."""
    pool = ReadPool(address, readers=1)
    await pool.start()
    try:
        wanted = await bin_as_published(pool)
        await subscriber.until(lambda copy: copy == wanted)
    finally:
        await pool.stop()


async def doing(one: Publishing, what: str) -> None:
    """Wait until the publisher does this."""

    async def does() -> bool:
        return bool(one.details["doing"] == what)

    await eventually(does)


async def test_follows_the_bin(kafka_broker: KafkaBroker, topic: str, projection: str, feed: Feed) -> None:
    """What is deleted, confirmed, restored, purged or discarded in the projection shows in the topic."""
    await feed.push(*(Said(f"e{n}", resource_id=f"v{n}", parent="c1") for n in range(20)))
    async with (
        publishing(kafka_broker, topic, projection),
        Subscriber(kafka_broker.bootstrap, topic) as subscriber,
    ):
        await same(subscriber, projection)
        assert len(subscriber.copy) == 20
        await feed.push(
            Said("o1", "in_bin", "v1", occurred=5, entry_id="tbe_real"),
            Said("o2", "vanished", "v2", occurred=5),
            Said("o3", "purged", "v3", occurred=5),
            Said("d4", "discarded", name="e4", resource_id="v4"),
        )
        await same(subscriber, projection)
        assert set(subscriber.copy) == {f"p/voucher/v{n}" for n in range(20)} - {
            "p/voucher/v2",
            "p/voucher/v3",
            "p/voucher/v4",
        }
        assert subscriber.copy["p/voucher/v1"]["id"] == "tbe_real"
        for gone, state in (("v2", b'"vanished"'), ("v3", b'"purged"')):
            key = f"p/voucher/{gone}".encode()
            last = [record.value for record in subscriber.seen if record.key == key][-2:]
            assert last[0] is not None
            assert state in last[0]
            assert last[1] is None
        await feed.push(Said("e2b", resource_id="v2", occurred=6))
        await same(subscriber, projection)
        assert "p/voucher/v2" in subscriber.copy


async def test_records_are_cloud_events(
    kafka_broker: KafkaBroker, topic: str, projection: str, feed: Feed
) -> None:
    """Their headers are CloudEvents' in binary mode; a change published twice has one id."""
    await feed.push(Said("e1", resource_id="v1"))
    async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
        for times in (1, 2):
            async with publishing(kafka_broker, topic, projection):
                await subscriber.until_seen(times)
            await _forget(projection, topic)
        headers = [dict(record.headers) for record in subscriber.seen]
    assert len(headers) == 2
    assert headers[0] == headers[1]
    assert headers[0]["ce_id"] == b"p/voucher/v1@0-0"
    assert headers[0]["ce_type"] == b"binmirror.entry.changed"
    assert headers[0]["ce_source"] == b"binmirror"
    assert headers[0]["ce_specversion"] == b"1.0"
    assert headers[0]["content-type"] == b"application/json"
    assert subscriber.copy["p/voucher/v1"]["schema_version"] == 1


async def _forget(address: str, topic: str) -> None:
    store = SqlPublisherStore(address, topic)
    await store.start()
    epoch = await store.acquire("nobody", 1)
    assert isinstance(epoch, int)
    await store.forget(epoch)
    await store.release(epoch)
    await store.stop()


async def test_goes_on_where_it_was(
    kafka_broker: KafkaBroker, topic: str, projection: str, feed: Feed
) -> None:
    """A new process publishes what changed since, not everything."""
    await feed.push(*(Said(f"e{n}", resource_id=f"v{n}") for n in range(50)))
    async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
        async with publishing(kafka_broker, topic, projection) as first:
            await same(subscriber, projection)
            # A subscriber sees records before the publisher knows; told to stop then, it would start over.
            await doing(first, "publishing")
        await feed.push(Said("x1", resource_id="w1"))
        async with publishing(kafka_broker, topic, projection, owner="two") as second:
            await same(subscriber, projection)
            await doing(second, "publishing")
            assert second.details["records_published"] == 1
        assert len(subscriber.seen) == 51


async def test_a_rebuilt_projection(
    kafka_broker: KafkaBroker, topic: str, projection: str, feed: Feed, tmp_path: Path
) -> None:
    """A new database is waited for until it has the whole log; then all is published, what is gone goes."""
    await feed.push(*(Said(f"e{n}", resource_id=f"v{n}") for n in range(30)))
    async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
        async with publishing(kafka_broker, topic, projection):
            await same(subscriber, projection)
        rebuilt = f"sqlite:///{tmp_path}/again.db"
        side = writer(rebuilt)
        await side.start()
        again = await Feed.of(side)
        async with publishing(kafka_broker, topic, rebuilt, log_ends={0: 25}) as second:
            await again.push(*(Said(f"e{n}", resource_id=f"v{n}") for n in range(20)))
            await doing(second, "waiting")
            assert len(subscriber.copy) == 30
            assert len(subscriber.seen) == 30
            await again.push(*(Said(f"e{n}", resource_id=f"v{n}") for n in range(20, 25)))
            await same(subscriber, rebuilt)
            assert len(subscriber.copy) == 25
            gone = [record for record in subscriber.seen if record.value is None]
            assert {record.key for record in gone} == {f"p/voucher/v{n}".encode() for n in range(25, 30)}
        await side.stop()


async def test_a_topic_made_anew(kafka_broker: KafkaBroker, topic: str, projection: str, feed: Feed) -> None:
    """A topic that lost its records gets them all again, though the checkpoint says that they are there."""
    await feed.push(*(Said(f"e{n}", resource_id=f"v{n}") for n in range(30)))
    async with (
        Subscriber(kafka_broker.bootstrap, topic) as subscriber,
        publishing(kafka_broker, topic, projection) as first,
    ):
        await same(subscriber, projection)
        await doing(first, "publishing")
    kafka_broker.delete_topic(topic)
    kafka_broker.create_topic(topic, configs=COMPACTED)
    async with publishing(kafka_broker, topic, projection) as second:
        async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
            await same(subscriber, projection)
        assert "made anew" in second.actions()


@pytest.mark.parametrize("idle", [True, False])
async def test_a_topic_made_anew_meanwhile(
    kafka_broker: KafkaBroker, topic: str, projection: str, feed: Feed, *, idle: bool
) -> None:
    """A topic that is made anew under a publisher gets everything again, whether or not anything changes."""
    await feed.push(*(Said(f"e{n}", resource_id=f"v{n}") for n in range(30)))
    async with publishing(kafka_broker, topic, projection):
        async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
            await same(subscriber, projection)
        kafka_broker.delete_topic(topic)
        kafka_broker.create_topic(topic, configs=COMPACTED)
        if not idle:
            await feed.push(*(Said(f"e{n}", resource_id=f"v{n}") for n in range(30, 100)))
        async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
            await same(subscriber, projection)


# Killed in the middle of connecting, it leaves connections that nobody closes.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_two_publishers(kafka_broker: KafkaBroker, topic: str, projection: str, feed: Feed) -> None:
    """One publishes, the other stands by; when the first is gone for longer than its lease, it takes over."""
    await feed.push(Said("e1", resource_id="v1"))
    first = Publishing(kafka_broker, topic, projection, lease=4.0)
    first.start()
    async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
        await same(subscriber, projection)
        async with publishing(kafka_broker, topic, projection, owner="two", lease=2.0) as second:
            await doing(second, "standby")
            assert second.details["publisher"] == "one"
            await first.kill()
            await feed.push(Said("e2", resource_id="v2"))
            await same(subscriber, projection)
            await doing(second, "publishing")
    await first.close()


class Gate:
    """Changes whose answers are held back while it is shut, as in a process that freezes just then."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._open = asyncio.Event()
        self._open.set()
        self.holds = asyncio.Event()
        """Set while an answer with changes is held back."""

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    async def changes(self, project: str | None, after: Cursor | None, limit: int) -> ChangesPage:
        page = await self._changes.changes(project, after, limit)
        if page.changes and not self._open.is_set():
            self.holds.set()
            await self._open.wait()
        return page

    async def now(self) -> Cursor:
        return await self._changes.now()


async def test_a_stale_page_never_gets_in(
    kafka_broker: KafkaBroker, topic: str, projection: str, feed: Feed
) -> None:
    """A publisher that froze between reading and publishing is fenced: no old value comes after a newer."""
    first = Publishing(kafka_broker, topic, projection, lease=1.0)
    gate = first.publisher._changes = Gate(first.changes)
    first.start()
    async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
        await doing(first, "publishing")
        gate.shut()
        await feed.push(Said("e1", resource_id="v1", name="OLD"))
        await gate.holds.wait()
        for task in asyncio.all_tasks():
            if task.get_name() == "entries-topic-lease":
                task.cancel()
        async with publishing(kafka_broker, topic, projection, owner="two", lease=5.0) as second:
            await doing(second, "publishing")
            await feed.push(Said("e2", "in_bin", "v1", name="NEW", occurred=5, entry_id="tbe_real"))
            await same(subscriber, projection)
            gate.open()
            await doing(first, "standby")
            assert "entries_topic_fenced" in first.actions()
            await feed.push(Said("e3", resource_id="v3"))
            await same(subscriber, projection)
        values = [record.value for record in subscriber.seen if record.key == b"p/voucher/v1"]
        assert values[-1] is not None
        assert b"NEW" in values[-1]
        assert subscriber.copy["p/voucher/v1"]["id"] == "tbe_real"
    await first.stop()
