"""Each known trap of Kafka and its client, on a real broker: what the producer does about it."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import psutil
import pytest
from aiokafka import TopicPartition

from consumer.clock import SystemClock
from consumer.errors import LogUnavailableError, RecordRefusedError
from consumer.eventlog.base import Appended
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.lane import Lane
from consumer.eventlog.kafka.producer import KafkaProducer
from consumer.metrics import Metrics
from consumer.types import NewRecord, Position
from tests.conformance.eventlog import PATIENCE, append_all, numbered
from tests.conformance.test_eventlog_kafka import KafkaHarness
from tests.servers.kafka import KafkaBroker, set_topic_config

pytestmark = pytest.mark.kafka

T = TypeVar("T")

DEADLINE = 1.0


def one_key(number: int) -> NewRecord:
    """Records that all go to one partition."""
    return NewRecord(b"one-key", b"%d" % number, ())


async def until_available(action: Callable[[], Awaitable[T]]) -> T:
    """The first answer that is not LogUnavailableError."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await action()
            except LogUnavailableError:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def producing(
    bootstrap: str, topic: str, *, metrics: Metrics | None = None
) -> AsyncIterator[KafkaProducer]:
    """A started producer with a short deadline."""
    producer = KafkaProducer(
        KafkaConnection(bootstrap_servers=(bootstrap,), topic=topic),
        deadline=DEADLINE,
        max_record_bytes=2 << 20,
        clock=SystemClock(),
        metrics=metrics or Metrics(),
    )
    await producer.start()
    try:
        yield producer
    finally:
        async with asyncio.timeout(DEADLINE + 5):
            await producer.stop()


async def _end(bootstrap: str, topic: str) -> int:
    admin = KafkaHarness(bootstrap, topic).admin()
    try:
        bounds = (await until_available(admin.describe)).bounds
    finally:
        await admin.close()
    return sum(bound.end for bound in bounds.values())


async def test_frozen_broker(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """With the broker frozen every append is answered within the deadline, later ones at once; when it is
    back, appends work again without help.
    """
    async with producing(kafka_broker.bootstrap, kafka_topic) as producer:
        await append_all(producer, map(one_key, range(10)))
        kafka_broker.freeze()
        started = time.monotonic()
        answers = await asyncio.gather(
            *(producer.append(numbered(n)) for n in range(100)), return_exceptions=True
        )
        assert all(isinstance(answer, LogUnavailableError) for answer in answers)
        assert time.monotonic() - started < DEADLINE + 1
        started = time.monotonic()
        for n in range(100):
            with pytest.raises(LogUnavailableError):
                await producer.append(numbered(n))
        with pytest.raises(LogUnavailableError):
            await producer.ping()
        assert time.monotonic() - started < DEADLINE
        kafka_broker.thaw()
        for n in range(6):
            await until_available(lambda n=n: producer.append(numbered(n)))  # type: ignore[misc] # bound in the loop
        await producer.ping()


async def test_stop_with_a_frozen_broker(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """Stopping with the broker frozen answers what is under way, and what aiokafka has not sent yet; it ends
    in time, and leaves neither a connection nor a failure that nobody saw.
    """
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
    async with producing(kafka_broker.bootstrap, kafka_topic) as producer:
        await append_all(producer, map(numbered, range(10)))
        kafka_broker.freeze()
        appends = [asyncio.create_task(producer.append(one_key(n))) for n in range(20)]
        await asyncio.sleep(0.1)  # their request is under way, so that what follows waits for its answer
        appends += [asyncio.create_task(producer.append(numbered(n))) for n in range(20)]
        await asyncio.sleep(0)
        started = time.monotonic()
        await producer.stop()
        assert time.monotonic() - started < DEADLINE + 4
        answers = await asyncio.gather(*appends, return_exceptions=True)
        assert all(isinstance(answer, LogUnavailableError) for answer in answers)
    assert not any(
        each.raddr and each.raddr.port == kafka_broker.port
        for each in psutil.Process().net_connections("tcp")
    )
    del appends, answers, producer
    gc.collect()
    assert not complaints


async def test_killed_broker(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """The broker killed and restarted under load: no append hangs, all that was acknowledged is there, and
    the producer goes on by itself.
    """
    acknowledged: set[Position] = set()
    slowest = 0.0

    async def load(producer: KafkaProducer, done: asyncio.Event) -> None:
        nonlocal slowest
        number = 0
        while not done.is_set():
            started = time.monotonic()
            try:
                answer = await producer.append(numbered(number := number + 1))
            except LogUnavailableError:
                await asyncio.sleep(0.01)
            else:
                assert answer.position is not None
                acknowledged.add(answer.position)
            slowest = max(slowest, time.monotonic() - started)

    async with producing(kafka_broker.bootstrap, kafka_topic) as producer:
        done = asyncio.Event()
        tasks = [asyncio.create_task(load(producer, done)) for _ in range(8)]
        await until_available(lambda: producer.append(one_key(0)))
        kafka_broker.kill()
        with pytest.raises(LogUnavailableError):
            await producer.ping()
        await asyncio.to_thread(kafka_broker.restore)
        for n in range(3):
            await until_available(lambda n=n: producer.append(numbered(n)))  # type: ignore[misc] # bound in the loop
        done.set()
        await asyncio.gather(*tasks)
    assert slowest < DEADLINE + 1
    assert await _end(kafka_broker.bootstrap, kafka_topic) >= len(acknowledged) > 0


async def test_cluster_away_at_start(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """A producer starts also while the cluster is away, refuses at once, and connects when it comes."""
    kafka_broker.kill()
    started = time.monotonic()
    async with producing(kafka_broker.bootstrap, kafka_topic) as producer:
        with pytest.raises(LogUnavailableError):
            await producer.append(numbered(1))
        with pytest.raises(LogUnavailableError):
            await producer.ping()
        assert time.monotonic() - started < 2 * DEADLINE
        assert producer.partition_of(b"any") == 0
        await asyncio.to_thread(kafka_broker.restore)
        answer = await until_available(lambda: producer.append(numbered(1)))
        assert answer.position is not None
        assert answer.position.partition == producer.partition_of(numbered(1).key)


async def test_group_commit(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """Hundreds of appends of a tick share a few batches, one after the other on each partition."""
    metrics = Metrics()
    async with producing(kafka_broker.bootstrap, kafka_topic, metrics=metrics) as producer:
        answers = await append_all(producer, map(one_key, range(512)))
    positions = [answer.position for answer in answers]
    partition = producer_partition = positions[0].partition if positions[0] else -1
    assert positions == [Position(partition, n) for n in range(512)], producer_partition
    samples = {
        sample.name: sample.value
        for metric in metrics.append_batch_size.collect()
        for sample in metric.samples
        if not sample.labels
    }
    assert samples["binmirror_log_append_batch_size_sum"] == 512
    assert samples["binmirror_log_append_batch_size_count"] <= 4


async def test_out_of_order_sequence(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """A sequence that the broker refuses ends aiokafka's producer for good; a new one takes over."""
    async with producing(kafka_broker.bootstrap, kafka_topic) as producer:
        answer = await producer.append(one_key(0))
        assert answer.position is not None
        tp = TopicPartition(kafka_topic, answer.position.partition)
        session = producer._session
        assert session is not None
        session._producer._txn_manager.increment_sequence_number(tp, 5)
        with pytest.raises(LogUnavailableError):
            await producer.append(one_key(1))
        again = await until_available(lambda: producer.append(one_key(2)))
        assert again.position == Position(tp.partition, 1)
        assert producer._session is not session


async def test_topic_takes_less_than_it_said(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """A record that the topic refuses after its limit was lowered is refused for good, alone; the rest
    flows, also on that partition.
    """
    large = NewRecord(b"one-key", bytes(200_000), ())
    async with producing(kafka_broker.bootstrap, kafka_topic) as producer:
        await producer.append(large)
        set_topic_config(kafka_broker.bootstrap, kafka_topic, "max.message.bytes", "100000")
        with pytest.raises(RecordRefusedError):
            await until_available(lambda: producer.append(large))
        for n in range(20):
            await until_available(lambda n=n: producer.append(one_key(n)))  # type: ignore[misc] # bound in the loop
        # The new producer has read the new limit: nothing is sent that the topic would refuse.
        session = producer._session
        with pytest.raises(RecordRefusedError):
            await producer.append(large)
        assert producer._session is session


async def test_refused_batch_is_narrowed_down(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """Where the topic refuses a batch of several records, repeating them gets all good ones stored."""
    async with producing(kafka_broker.bootstrap, kafka_topic) as producer:
        await producer.append(one_key(0))
        set_topic_config(kafka_broker.bootstrap, kafka_topic, "max.message.bytes", "50000")
        records = [NewRecord(b"one-key", bytes(10_000), ()) for _ in range(20)]
        await asyncio.gather(
            *(until_available(lambda record=record: producer.append(record)) for record in records)  # type: ignore[misc] # bound in the loop
        )


async def test_unknown_position(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """When the broker has a batch already and does not know where, it counts as stored, without position."""
    async with producing(kafka_broker.bootstrap, kafka_topic) as producer:
        session = producer._session
        assert session is not None
        lane = Lane(
            0,
            session=lambda: session,
            failed=lambda *_: None,
            deadline=DEADLINE,
            clock=SystemClock(),
            metrics=Metrics(),
        )
        answer = lane.append(one_key(0))
        sent, lane._waiting = lane._waiting, []
        lane._settle(sent, -1)
        assert await answer == Appended(None, "log")
        await lane.flushed()


async def test_cancelled_append_may_be_stored(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    """Cancelling an append under way does not take the record back, and harms no other."""
    async with producing(kafka_broker.bootstrap, kafka_topic) as producer:
        first, second = (asyncio.create_task(producer.append(one_key(n))) for n in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).position is not None
        assert first.cancelled()
    assert await _end(kafka_broker.bootstrap, kafka_topic) == 2
