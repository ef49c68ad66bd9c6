"""Each known trap of Kafka and its client, on a real broker: what the reader does about it."""

import asyncio
import signal
import sys
import time

import pytest
from aiokafka import TopicPartition

from consumer.errors import LogUnavailableError
from consumer.types import Record
from tests.conformance.eventlog import PATIENCE, append_all, numbered, read_count
from tests.conformance.test_eventlog_kafka import KafkaHarness
from tests.e2e.kafka_group import make_reader, member, poll_for_ever
from tests.servers.kafka import KafkaBroker

pytestmark = pytest.mark.kafka


async def test_group_offsets_are_for_show(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """Offsets committed to the group never decide where a reader goes on, nor bring a record before seek."""
    harness = KafkaHarness(kafka_broker.bootstrap, kafka_topic)
    async with harness.producing() as producer:
        await append_all(producer, map(numbered, range(60)))
    async with member(make_reader(kafka_broker, kafka_topic)) as first:
        await first.until(lambda: len(first.records) == 60)
        member_of_group = first.reader._member
        assert member_of_group is not None
        await member_of_group._consumer.commit({TopicPartition(kafka_topic, n): 5 for n in range(3)})
    async with member(make_reader(kafka_broker, kafka_topic)) as second:
        assigned: set[int] = set()
        async with asyncio.timeout(PATIENCE):
            while len(assigned) < 3:
                poll = await second.reader.poll(max_records=100, wait=0.3)
                assert not poll.records
                assigned = (assigned - poll.revoked) | poll.assigned
        for _ in range(3):
            assert not (await second.reader.poll(max_records=100, wait=0.1)).records
        for partition in range(3):
            await second.reader.seek(partition, 1)
        assert len(await read_count(second.reader, 57)) == 57


async def test_rebalance_loses_nothing(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """Members come and go under load: every record is read, each partition in order, none before its seek."""
    harness = KafkaHarness(kafka_broker.bootstrap, kafka_topic)
    positions: dict[int, int] = {}
    total = 3000

    async def load() -> None:
        async with harness.producing() as producer:
            for start in range(0, total, 50):
                await append_all(producer, map(numbered, range(start, start + 50)))
                await asyncio.sleep(0.02)

    loading = asyncio.create_task(load())
    seen: list[Record] = []
    async with member(make_reader(kafka_broker, kafka_topic), positions) as first:
        await first.until(lambda: len(first.records) > 100)
        async with member(make_reader(kafka_broker, kafka_topic), positions) as second:
            together = asyncio.create_task(first.until(lambda: len(second.records) > 300))
            await second.until(lambda: len(second.records) > 300)
            await together
            assert first.held
            assert second.held
            assert not first.held & second.held
            seen += second.records
        await loading
        await first.until(lambda: sum(positions.values()) >= total)
        seen += first.records
    assert {record.value for record in seen} == {numbered(n).value for n in range(total)}
    for partition in range(3):
        offsets = {record.offset for record in seen if record.partition == partition}
        assert offsets == set(range(len(offsets)))


async def test_poll_serves_all_partitions(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """Small polls of full partitions serve all of them in turn, mostly one in a poll."""
    harness = KafkaHarness(kafka_broker.bootstrap, kafka_topic)
    async with harness.producing() as producer:
        await append_all(producer, map(numbered, range(600)))
    async with member(make_reader(kafka_broker, kafka_topic)) as reader:
        served: list[int] = []
        async with asyncio.timeout(PATIENCE):
            while len(reader.records) < 90:
                served.append(len((await reader.step(max_records=6)).records))
        counts = [sum(record.partition == partition for record in reader.records) for partition in range(3)]
    assert min(counts) >= 10
    assert served.count(1) >= 10


async def test_frozen_broker(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """With the broker frozen every call ends in time, some with LogUnavailableError; afterwards the reader
    goes on by itself and misses nothing.
    """
    harness = KafkaHarness(kafka_broker.bootstrap, kafka_topic)
    async with harness.producing() as producer:
        await append_all(producer, map(numbered, range(60)))
        async with member(make_reader(kafka_broker, kafka_topic, stall_timeout=5.0)) as reader:
            await reader.until(lambda: len(reader.records) == 60)
            kafka_broker.freeze()
            with pytest.raises(LogUnavailableError):
                await reader.reader.bounds()
            with pytest.raises(LogUnavailableError):
                await reader.reader.read_at(0, 0)
            with pytest.raises(LogUnavailableError):
                await poll_for_ever(reader)
            kafka_broker.thaw()
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        await producer.append(numbered(60))
                    except LogUnavailableError:
                        await asyncio.sleep(0.05)
                    else:
                        break
            await reader.until(lambda: numbered(60).value in {record.value for record in reader.records})
    positions = [(record.partition, record.offset) for record in reader.records]
    assert len(positions) == len(set(positions))


async def test_killed_broker(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """After the broker was killed and restarted the reader goes on by itself; stopping without one ends."""
    harness = KafkaHarness(kafka_broker.bootstrap, kafka_topic)
    async with harness.producing() as producer:
        await append_all(producer, map(numbered, range(30)))
    async with member(make_reader(kafka_broker, kafka_topic)) as reader:
        await reader.until(lambda: len(reader.records) == 30)
        kafka_broker.kill()
        await asyncio.to_thread(kafka_broker.restore)
        async with harness.producing() as producer:
            await append_all(producer, map(numbered, range(30, 60)))
        await reader.until(lambda: len(reader.records) == 60)
        kafka_broker.kill()
        started = time.monotonic()
        await reader.reader.stop()
        assert time.monotonic() - started < 6


async def test_standing_still(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """A consumer that brings nothing although the log goes on, without any error, is replaced."""
    harness = KafkaHarness(kafka_broker.bootstrap, kafka_topic)
    async with (
        harness.producing() as producer,
        member(make_reader(kafka_broker, kafka_topic, stall_timeout=1.0)) as reader,
    ):
        await reader.until(lambda: len(reader.held) == 3)
        assert reader.reader._member is not None
        consumer = reader.reader._member._consumer
        consumer.pause(*consumer.assignment())
        await append_all(producer, map(numbered, range(30)))
        await reader.until(lambda: len(reader.records) == 30)
        assert reader.reader._metrics.reader_rejoins.labels("stalled")._value.get() == 1


async def test_nobody_polls(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """A reader that is not polled any more leaves its partitions to the others, and says so when polled."""
    harness = KafkaHarness(kafka_broker.bootstrap, kafka_topic)
    async with harness.producing() as producer:
        await append_all(producer, map(numbered, range(30)))
    async with member(make_reader(kafka_broker, kafka_topic, max_poll_interval=1.0)) as stuck:
        await stuck.until(lambda: len(stuck.held) == 3)
        async with member(make_reader(kafka_broker, kafka_topic)) as other:
            await other.until(lambda: len(other.held) == 3)
            assert (await stuck.step()).revoked == {0, 1, 2}


async def test_frozen_past_its_session(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """A process frozen past its session, its partitions another's meanwhile, gives them up when it wakes,
    before it returns a record.
    """
    harness = KafkaHarness(kafka_broker.bootstrap, kafka_topic)
    async with harness.producing() as producer:
        await append_all(producer, map(numbered, range(60)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _SLOW_READER,
        str(kafka_broker.port),
        kafka_topic,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == b"assigned 3\n"
            assert (await process.stdout.readline()).startswith(b"records")
            process.send_signal(signal.SIGSTOP)
            async with member(make_reader(kafka_broker, kafka_topic)) as other:
                await other.until(lambda: len(other.held) == 3 and len(other.records) == 60)
                process.send_signal(signal.SIGCONT)
                lines = [await process.stdout.readline()]
                while not lines[-1].startswith(b"revoked"):
                    lines.append(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()
    # One batch may have been on its way out when it was frozen.
    assert len(lines) <= 2, lines


_SLOW_READER = """
import asyncio, sys
from tests.e2e.kafka_group import make_reader
class Broker:
    bootstrap = f"127.0.0.1:{sys.argv[1]}"
async def main():
    reader = make_reader(Broker, sys.argv[2])
    await reader.start()
    while True:
        poll = await reader.poll(max_records=1, wait=0.1)
        if poll.revoked:
            print("revoked", len(poll.revoked), flush=True)
        if poll.assigned:
            print("assigned", len(poll.assigned), flush=True)
            for partition in poll.assigned:
                await reader.seek(partition, 0)
        for records in poll.records.values():
            print("records", len(records), flush=True)
            await asyncio.sleep(0.1)
asyncio.run(main())
"""
