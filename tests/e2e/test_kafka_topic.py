"""Making, checking and describing the topic, on a real broker; and a cluster of three with SCRAM."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from consumer.clock import SystemClock
from consumer.errors import LogUnavailableError, StopError
from consumer.eventlog.base import Appended
from consumer.eventlog.entries_base import TopicRecord
from consumer.eventlog.kafka.admin import KafkaLogAdmin
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.entries import KafkaEntriesTopic
from consumer.eventlog.kafka.entries_admin import EntriesTopicAdmin
from consumer.eventlog.kafka.producer import KafkaProducer
from consumer.eventlog.kafka.reader import KafkaReader
from consumer.metrics import Metrics
from consumer.types import NewRecord
from tests.conformance.eventlog import PATIENCE, numbered
from tests.e2e.test_kafka_traps import until_available
from tests.entries_kit import Subscriber, tombstone, value
from tests.servers.kafka import KafkaBroker, set_topic_config
from tests.servers.kafka_cluster import PASSWORD, USER, KafkaCluster

pytestmark = pytest.mark.kafka

MIB = 1 << 20


@asynccontextmanager
async def administering(connection: KafkaConnection) -> AsyncIterator[KafkaLogAdmin]:
    admin = KafkaLogAdmin(connection)
    try:
        yield admin
    finally:
        await admin.close()


@pytest.fixture
def connection(kafka_broker: KafkaBroker, kafka_topic: str) -> KafkaConnection:
    return KafkaConnection(bootstrap_servers=(kafka_broker.bootstrap,), topic=kafka_topic)


async def test_makes_the_topic_once(connection: KafkaConnection) -> None:
    """The topic is made with unlimited retention; made again, it is left alone and differences are told."""
    fresh = replace(connection, topic=f"{connection.topic}-new")
    async with administering(fresh) as admin:
        with pytest.raises(StopError, match="topics create"):
            await admin.describe()
        assert await admin.check_topic(max_body_bytes=MIB, allow_single_replica=True) == [
            f"{fresh.address}: no such topic; `binmirror topics create` makes it"
        ]
        arguments = {"replication_factor": 1, "min_insync_replicas": 1, "max_message_bytes": 3 * MIB}
        made = await admin.create_topic(partitions=4, allow_single_replica=True, **arguments)
        assert made.created
        assert not made.differences
        assert await admin.check_topic(max_body_bytes=MIB, allow_single_replica=True) == []
        info = await admin.describe()
        assert len(info.bounds) == 4
        assert info.details["retention.ms"] == -1
        assert info.details["retention.bytes"] == -1
        again = await admin.create_topic(partitions=6, allow_single_replica=True, **arguments)
        assert not again.created
        assert again.differences == ("partitions is 4, not 6",)


async def test_refuses_one_replica(connection: KafkaConnection) -> None:
    """One replica has to be allowed; more replicas than brokers are refused with the cluster's reason."""
    fresh = replace(connection, topic=f"{connection.topic}-new")
    arguments = {"partitions": 1, "min_insync_replicas": 1, "max_message_bytes": 3 * MIB}
    async with administering(fresh) as admin:
        with pytest.raises(StopError, match="ALLOW_SINGLE_REPLICA"):
            await admin.create_topic(replication_factor=1, allow_single_replica=False, **arguments)
        with pytest.raises(StopError, match=r"replication factor.* KAFKA_REPLICATION_FACTOR=1"):
            await admin.create_topic(replication_factor=3, allow_single_replica=False, **arguments)


async def test_check_finds_what_is_wrong(connection: KafkaConnection, kafka_broker: KafkaBroker) -> None:
    """A topic that is too narrow, forgets, or has one replica only is told at start, each in a sentence."""
    set_topic_config(kafka_broker.bootstrap, connection.topic, "max.message.bytes", str(MIB))
    async with administering(connection) as admin:
        problems = await admin.check_topic(max_body_bytes=MIB, allow_single_replica=False)
        assert len(problems) == 4
        for words in (
            "at least 2097152",
            "retention.ms is 604800000",
            "replication factor is 1",
            "min.insync",
        ):
            assert sum(words in problem for problem in problems) == 1
        assert len(await admin.check_topic(max_body_bytes=MIB // 2, allow_single_replica=True)) == 1


async def test_frozen_broker(connection: KafkaConnection, kafka_broker: KafkaBroker) -> None:
    """With the broker frozen a description ends in time, and works again afterwards."""
    async with administering(connection) as admin:
        await admin.describe()
        kafka_broker.freeze()
        async with asyncio.timeout(20):
            with pytest.raises(LogUnavailableError):
                await admin.describe()
        kafka_broker.thaw()
        assert (await until_available(admin.describe)).log_id == connection.topic


@pytest.fixture(scope="module")
def kafka_cluster(kafka_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three nodes."""
    del kafka_packages
    cluster = KafkaCluster(tmp_path_factory.mktemp("cluster"))
    cluster.start()
    yield cluster
    cluster.kill()


def _scram(cluster: KafkaCluster, topic: str, password: str = PASSWORD) -> KafkaConnection:
    return KafkaConnection(
        bootstrap_servers=cluster.bootstrap,
        topic=topic,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        user=USER,
        password=password,
    )


async def test_cluster_of_three(kafka_cluster: KafkaCluster) -> None:
    """SCRAM, replication 3, two in sync: while a node stays frozen the other two soon take over all
    partitions, and all that was acknowledged is read.
    """
    connection = _scram(kafka_cluster, "replicated")
    async with administering(connection) as admin:
        made = await admin.create_topic(
            partitions=6,
            replication_factor=3,
            min_insync_replicas=2,
            max_message_bytes=3 * MIB,
            allow_single_replica=False,
        )
        assert made.created
        assert await admin.check_topic(max_body_bytes=MIB, allow_single_replica=False) == []
    producer = KafkaProducer(
        connection, deadline=2.0, max_record_bytes=2 * MIB, clock=SystemClock(), metrics=Metrics()
    )
    await producer.start()
    try:
        records = list(map(numbered, range(60)))
        acknowledged = await asyncio.gather(*(_appended(producer, record) for record in records))
        kafka_cluster.nodes[1].freeze()
        acknowledged += await asyncio.gather(*(_appended(producer, record) for record in records))
    finally:
        kafka_cluster.nodes[1].thaw()
        await producer.stop()
    await _read_all(connection, {answer.position for answer in acknowledged})


async def test_entries_on_three(kafka_cluster: KafkaCluster) -> None:
    """A replicated topic of entries takes whole transactions while a node stays frozen, and none is lost."""
    connection = _scram(kafka_cluster, "entries")
    made = await EntriesTopicAdmin(connection).create(
        partitions=6, replication_factor=3, min_insync_replicas=2, allow_single_replica=False
    )
    assert made.created
    entries = KafkaEntriesTopic(connection, allow_single_replica=False, clock=SystemClock(), deadline=3.0)

    async def publish_anew(records: Sequence[TopicRecord]) -> None:
        await entries.open()
        await entries.publish(records)

    try:
        await until_available(lambda: publish_anew([value(f"p/voucher/v{n}", n) for n in range(60)]))
        kafka_cluster.nodes[1].freeze()
        changed = [value(f"p/voucher/v{n}", n + 100) for n in range(30)]
        await until_available(lambda: publish_anew([*changed, tombstone("p/voucher/v59")]))
    finally:
        kafka_cluster.nodes[1].thaw()
        await entries.close()
    security = {name: it for name, it in connection.client_arguments().items() if name != "bootstrap_servers"}
    async with Subscriber(",".join(kafka_cluster.bootstrap), "entries", **security) as subscriber:
        wanted = {f"p/voucher/v{n}": n + 100 if n < 30 else n for n in range(59)}
        await subscriber.until(lambda copy: {key: it["number"] for key, it in copy.items()} == wanted)


async def _appended(producer: KafkaProducer, record: NewRecord) -> Appended:
    return await until_available(lambda: producer.append(record))


async def test_wrong_password(kafka_cluster: KafkaCluster) -> None:
    """A wrong password is an error in time, and does not show in it."""
    connection = _scram(kafka_cluster, "replicated", password="not-the-password")
    assert "not-the-password" not in repr(connection)
    async with administering(connection) as admin:
        with pytest.raises(LogUnavailableError) as caught:
            await admin.check_topic(max_body_bytes=MIB, allow_single_replica=False)
    assert "not-the-password" not in str(caught.value)


async def _read_all(connection: KafkaConnection, positions: set[object]) -> None:
    reader = KafkaReader(
        connection, group_id="readers", clock=SystemClock(), metrics=Metrics(), stall_timeout=30.0
    )
    await until_available(reader.start)
    missing = set(positions)
    async with asyncio.timeout(2 * PATIENCE):
        while missing:
            poll = await until_available(lambda: reader.poll(max_records=100, wait=0.2))
            for partition in poll.assigned:
                await reader.seek(partition, 0)
            for records in poll.records.values():
                missing -= {(record.partition, record.offset) for record in records}
    await reader.stop()
