"""Topics that are missing, made anew, cut short or written to by others, on a real broker."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from consumer.errors import LogMismatchError, LogUnavailableError, StopError
from consumer.types import Record
from tests.conformance.eventlog import append_all, numbered
from tests.conformance.test_eventlog_kafka import KafkaHarness
from tests.e2e.kafka_group import make_reader, member, poll_for_ever
from tests.servers.kafka import KafkaBroker

pytestmark = pytest.mark.kafka


async def test_topic_made_anew(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """A topic deleted and made anew with fewer records stops the reader."""
    harness = KafkaHarness(kafka_broker.bootstrap, kafka_topic)
    async with harness.producing() as producer:
        await append_all(producer, map(numbered, range(60)))
    async with member(make_reader(kafka_broker, kafka_topic)) as reader:
        await reader.until(lambda: len(reader.records) == 60)
        await asyncio.to_thread(kafka_broker.delete_topic, kafka_topic)
        await asyncio.to_thread(kafka_broker.create_topic, kafka_topic)
        with pytest.raises(LogMismatchError, match="made anew"):
            await reader.until(lambda: False)


async def test_topic_deleted(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """While the topic is gone the reader says so instead of waiting silently."""
    async with member(make_reader(kafka_broker, kafka_topic, stall_timeout=2.0)) as reader:
        await reader.until(lambda: len(reader.held) == 3)
        await asyncio.to_thread(kafka_broker.delete_topic, kafka_topic)
        with pytest.raises(LogUnavailableError, match="no such topic"):
            await poll_for_ever(reader)


async def test_records_deleted(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """Records that were deleted before they were read stop the reader instead of being skipped."""
    harness = KafkaHarness(kafka_broker.bootstrap, kafka_topic)
    async with harness.producing() as producer:
        await append_all(producer, map(numbered, range(60)))
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_broker.bootstrap)
    await client.start()
    await client.delete_records({TopicPartition(kafka_topic, 0): RecordsToDelete(before_offset=3)})
    await client.close()
    async with member(make_reader(kafka_broker, kafka_topic)) as reader:
        with pytest.raises(LogMismatchError, match="starts at 3"):
            await reader.until(lambda: False)


async def test_gap(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """An offset without a record (here the mark of somebody's transaction) stops the reader, after all the
    records before it.
    """
    producer = AIOKafkaProducer(bootstrap_servers=kafka_broker.bootstrap, transactional_id="somebody")
    await producer.start()
    for n in range(2):
        async with producer.transaction():
            await producer.send_and_wait(kafka_topic, b"%d" % n, partition=0)
    await producer.stop()
    async with member(make_reader(kafka_broker, kafka_topic)) as reader:
        with pytest.raises(LogMismatchError, match="offset 1 is missing"):
            await reader.until(lambda: False)
        assert [record.value for record in reader.records] == [b"0"]


async def test_foreign_records(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """What other producers leave out, a key, a value or a header's, is read as empty."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka_broker.bootstrap)
    await producer.start()
    await producer.send_and_wait(kafka_topic, value=None, key=b"k", partition=0, headers=[("h", None)])
    await producer.send_and_wait(kafka_topic, value=b"v", key=None, partition=0)
    await producer.stop()
    async with member(make_reader(kafka_broker, kafka_topic)) as reader:
        await reader.until(lambda: len(reader.records) == 2)
    assert reader.records == [Record(0, 0, b"k", b"", (("h", b""),)), Record(0, 1, b"", b"v", ())]


async def test_topic_missing(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """A reader of a topic that does not exist says how to make it."""
    reader = make_reader(kafka_broker, f"{kafka_topic}-not")
    with pytest.raises(StopError, match="topics create"):
        await reader.start()
    await reader.stop()
