"""The compacted topic on a real broker: whole transactions, one writer, deadlines, and what is refused."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer

from consumer.errors import FencedError, LogUnavailableError, StopError
from consumer.eventlog.entries_base import HeldKey, OpenedTopic
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.entries import KafkaEntriesTopic
from consumer.eventlog.kafka.entries_admin import TOMBSTONE_MS, EntriesTopicAdmin
from consumer.eventlog.kafka.session import partition_for
from consumer.eventlog.kafka.settled import Settled
from tests.entries_kit import COMPACTED, Subscriber, entries_topic, opened, tombstone, value
from tests.servers.kafka import KafkaBroker, set_topic_config

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture
def topic(kafka_broker: KafkaBroker, kafka_topic: str) -> str:
    """A compacted topic with three partitions."""
    name = f"{kafka_topic}-entries"
    kafka_broker.create_topic(name, configs=COMPACTED)
    return name


async def held(entries: KafkaEntriesTopic) -> dict[bytes, bool]:
    found: dict[bytes, bool] = {}
    async for portion in entries.held():
        found.update((key, live) for key, live in portion)
    return found


async def test_values_and_tombstones(kafka_broker: KafkaBroker, topic: str) -> None:
    """The last value of a key counts, a tombstone removes it, and both come back when the topic is read."""
    async with (
        opened(kafka_broker, topic) as entries,
        Subscriber(kafka_broker.bootstrap, topic) as subscriber,
    ):
        assert await held(entries) == {}
        await entries.publish([value(f"p/voucher/v{n}", n) for n in range(100)])
        ends = await entries.publish(
            [value("p/voucher/v1", 101), tombstone("p/voucher/v2"), tombstone("p/x")]
        )
        assert ends
        await subscriber.until(lambda copy: len(copy) == 99 and copy["p/voucher/v1"]["number"] == 101)
        last = await held(entries)
        assert len(last) == 101
        assert [key for key, live in last.items() if not live] == [b"p/voucher/v2", b"p/x"] or not (
            last[b"p/voucher/v2"] or last[b"p/x"]
        )


async def test_order_within_a_key(kafka_broker: KafkaBroker, topic: str) -> None:
    """However many batches a transaction takes, a key's records keep their order, a tombstone at the end."""
    async with (
        opened(kafka_broker, topic) as entries,
        Subscriber(kafka_broker.bootstrap, topic) as subscriber,
    ):
        records = [value(f"p/voucher/v{n % 7}", n, size=5_000) for n in range(400)]
        await entries.publish([*records, *(tombstone(f"p/voucher/v{n}") for n in range(6))])
        await subscriber.until(
            lambda copy: set(copy) == {"p/voucher/v6"} and copy["p/voucher/v6"]["number"] == 398
        )
        numbers: dict[bytes, list[int]] = {}
        for record in subscriber.seen:
            assert record.key is not None
            numbers.setdefault(record.key, []).append(record.offset)
        assert all(offsets == sorted(offsets) for offsets in numbers.values())


async def test_a_zombie_is_shut_out(kafka_broker: KafkaBroker, topic: str) -> None:
    """What a writer had not committed when another one opened the topic is never seen, and it is told so."""
    async with (
        opened(kafka_broker, topic) as zombie,
        Subscriber(kafka_broker.bootstrap, topic) as subscriber,
    ):
        await zombie.publish([value("p/voucher/v1", 1)])
        assert zombie._producer is not None
        raw = zombie._producer._producer
        await raw.begin_transaction()
        key = b"p/voucher/v1"
        await (await raw.send(topic, b'{"number": 2}', key=key, partition=partition_for(key, 3)))
        async with opened(kafka_broker, topic) as other:
            await other.publish([value("p/voucher/v1", 3)])
            with pytest.raises(Exception, match=r"Fenced|transactional"):
                await raw.commit_transaction()
            await other.publish([value("p/voucher/v2", 4)])
            await subscriber.until(lambda copy: set(copy) == {"p/voucher/v1", "p/voucher/v2"})
        seen = [record.value for record in subscriber.seen if record.key == key]
        assert len(seen) == 2
        assert b'{"number": 2}' not in seen


async def test_an_earlier_writer_is_told(kafka_broker: KafkaBroker, topic: str) -> None:
    """Its next transaction raises FencedError; opened again it is the one that counts."""
    async with opened(kafka_broker, topic) as first:
        await first.publish([value("p/voucher/v1", 1)])
        async with opened(kafka_broker, topic) as second:
            await second.publish([value("p/voucher/v1", 2)])
            with pytest.raises(FencedError, match="transactional id"):
                await first.publish([value("p/voucher/v1", 3)])
            await first.open()
            await first.publish([value("p/voucher/v1", 4)])
            with pytest.raises(FencedError):
                await second.publish([value("p/voucher/v1", 5)])
        async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
            await subscriber.until(lambda copy: copy.get("p/voucher/v1", {}).get("number") == 4)


async def test_frozen_broker(kafka_broker: KafkaBroker, topic: str) -> None:
    """With the broker frozen a transaction ends in time; opened again, the topic takes records as before."""
    async with opened(kafka_broker, topic, deadline=4.0) as entries:
        await entries.publish([value("p/voucher/v1", 1)])
        kafka_broker.freeze()
        began = time.monotonic()
        with pytest.raises(LogUnavailableError):
            await entries.publish([value("p/voucher/v1", 2)])
        assert time.monotonic() - began < 14
        with pytest.raises(LogUnavailableError):
            await entries.open()
        kafka_broker.thaw()
        await _until_open(entries)
        await entries.publish([value("p/voucher/v1", 3)])
        async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
            await subscriber.until(lambda copy: copy.get("p/voucher/v1", {}).get("number") == 3)


async def test_killed_broker(kafka_broker: KafkaBroker, topic: str) -> None:
    """After the broker was killed and started again the topic opens, and is whole."""
    async with opened(kafka_broker, topic, deadline=4.0) as entries:
        await entries.publish([value(f"p/voucher/v{n}", n) for n in range(50)])
        await asyncio.to_thread(kafka_broker.kill)
        with pytest.raises(LogUnavailableError):
            await entries.publish([value("p/voucher/v1", 100)])
        await asyncio.to_thread(kafka_broker.restore)
        await _until_open(entries)
        await entries.publish([tombstone("p/voucher/v2")])
        last = await held(entries)
        assert len(last) == 50
        assert not last[b"p/voucher/v2"]


async def test_killed_between_commit_and_markers(kafka_broker: KafkaBroker, topic: str) -> None:
    """Killed as soon as the coordinator has a commit, the topic opens with nothing undecided, and is whole.

    A broker started again may pass over partitions in which the commit is not marked yet, so that some have
    the records and some do not. What was not told of as published is published again, and repairs that.
    """
    records = [value(f"p/voucher/v{n}", n) for n in range(50)]
    async with opened(kafka_broker, topic, deadline=4.0) as entries:
        assert entries._producer is not None
        await entries._producer.commit(records, timestamp=1)
        await asyncio.to_thread(kafka_broker.kill)
        await asyncio.to_thread(kafka_broker.restore)
        ends = (await _until_open(entries)).ends
        settled = Settled(KafkaConnection(bootstrap_servers=(kafka_broker.bootstrap,), topic=topic))
        assert await settled.undecided() == []
        await settled.close()
        assert all(ends.values())
        await entries.publish([*records, tombstone("p/voucher/v2")])
        last = await held(entries)
        assert len(last) == 50
        assert not last[b"p/voucher/v2"]


async def test_nothing_undecided_is_told_of(kafka_broker: KafkaBroker, topic: str) -> None:
    """What another producer has open is waited for; until it is decided, nothing is told of as published."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka_broker.bootstrap, transactional_id=f"{topic}-other")
    await producer.start()
    async with opened(kafka_broker, topic, deadline=4.0) as entries:
        await producer.begin_transaction()
        key = b"p/voucher/v1"
        await (await producer.send(topic, b"{}", key=key, partition=partition_for(key, 3)))
        with pytest.raises(LogUnavailableError):
            await entries.publish([value("p/voucher/v1", 1)])
        await producer.abort_transaction()
        await _until_open(entries)
        await entries.publish([value("p/voucher/v1", 2)])
        assert await held(entries) == {key: True}
    await producer.stop()


async def _until_open(entries: KafkaEntriesTopic) -> OpenedTopic:
    async with asyncio.timeout(60):
        while True:
            try:
                return await entries.open()
            except LogUnavailableError:
                continue


async def test_foreign_records_are_left_alone(kafka_broker: KafkaBroker, topic: str) -> None:
    """A topic with records of someone else's is refused, before any of them is taken for one that is gone."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka_broker.bootstrap)
    await producer.start()
    await producer.send_and_wait(topic, b"theirs", key=b"their key")
    await producer.stop()
    async with opened(kafka_broker, topic) as entries:
        with pytest.raises(StopError, match="not written by binmirror"):
            await held(entries)


async def test_keys_in_another_place_are_refused(kafka_broker: KafkaBroker, topic: str) -> None:
    """A record in a partition other than its key's today means that partitions were added."""
    record = value("p/voucher/v1", 1)
    elsewhere = (partition_for(record.key, 3) + 1) % 3
    producer = AIOKafkaProducer(bootstrap_servers=kafka_broker.bootstrap)
    await producer.start()
    await producer.send_and_wait(
        topic, record.value, key=record.key, partition=elsewhere, headers=list(record.headers)
    )
    await producer.stop()
    async with opened(kafka_broker, topic) as entries:
        with pytest.raises(StopError, match="partitions were added"):
            await held(entries)


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("cleanup.policy", "delete", "cleanup.policy is delete; it must be compact"),
        ("cleanup.policy", "compact,delete", "cleanup.policy is compact,delete; it must be compact"),
        ("delete.retention.ms", "86400000", "delete.retention.ms is 86400000; it must be at least 604800000"),
    ],
)
async def test_a_wrong_policy_is_refused(
    kafka_broker: KafkaBroker, topic: str, name: str, wrong: str, words: str
) -> None:
    """A topic that would forget entries is not opened, and one line says what is wrong."""
    set_topic_config(kafka_broker.bootstrap, topic, name, wrong)
    entries = entries_topic(kafka_broker, topic)
    with pytest.raises(StopError) as caught:
        await entries.open()
    assert words in str(caught.value) or name == "cleanup.policy"
    assert "\n" not in str(caught.value)
    await entries.close()


async def test_makes_the_topic_once(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """It is made compacted, with tombstones that stay for seven days; made again, it is left alone."""
    connection = KafkaConnection(bootstrap_servers=(kafka_broker.bootstrap,), topic=f"{kafka_topic}-made")
    admin = EntriesTopicAdmin(connection)
    assert "no such topic" in (await admin.check(allow_single_replica=True))[0]
    arguments = {"replication_factor": 1, "min_insync_replicas": 1}
    with pytest.raises(StopError, match="ALLOW_SINGLE_REPLICA"):
        await admin.create(partitions=2, allow_single_replica=False, **arguments)
    assert (await admin.create(partitions=2, allow_single_replica=True, **arguments)).created
    assert await admin.check(allow_single_replica=True) == []
    assert len(await admin.check(allow_single_replica=False)) == 2
    again = await admin.create(partitions=3, allow_single_replica=True, **arguments)
    assert again.differences == ("partitions is 2, not 3",)
    assert TOMBSTONE_MS == 604_800_000
    assert HeldKey(b"k", live=True).live
