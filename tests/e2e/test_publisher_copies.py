"""The topic of entries after compaction, and after an older copy of the projection was put back."""

import shutil
from pathlib import Path

import pytest

from consumer.projection.migrate import migrate
from tests.e2e.test_publisher import same
from tests.entries_kit import COMPACTED, Subscriber
from tests.projection_kit import Feed, Said, writer
from tests.publisher_kit import publishing
from tests.servers.kafka import KafkaBroker
from tests.stack import until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

HASTY = {
    **COMPACTED,
    "segment.ms": "200",
    "min.cleanable.dirty.ratio": "0.001",
    "max.compaction.lag.ms": "200",
}


async def test_after_compaction(kafka_broker: KafkaBroker, kafka_topic: str, tmp_path: Path) -> None:
    """When Kafka has removed what newer records replace, one who reads from the start still has the bin."""
    topic, projection = f"{kafka_topic}-compacted", f"sqlite:///{tmp_path}/bin.db"
    kafka_broker.create_topic(topic, configs=HASTY)
    migrate(projection)
    side = writer(projection)
    await side.start()
    feed = await Feed.of(side)
    async with publishing(kafka_broker, topic, projection):
        async with Subscriber(kafka_broker.bootstrap, topic) as follower:
            for turn in range(20):
                said = (
                    Said(f"o{turn}-{n}", "in_bin", f"v{n}", occurred=turn, entry_id=f"tbe_{turn}")
                    for n in range(30)
                )
                await feed.push(*said)
                await same(follower, projection)
            await feed.push(*(Said(f"gone-{n}", "vanished", f"v{n}", occurred=30) for n in range(10)))
            await same(follower, projection)
            everything = len(follower.seen)
        numbers: list[int] = []

        async def compacted() -> bool:
            # Kafka compacts no segment that is still being written to: something has to come after it.
            numbers.append(len(numbers))
            await feed.push(Said(f"late-{len(numbers)}", resource_id=f"w{len(numbers)}"))
            async with Subscriber(kafka_broker.bootstrap, topic) as late:
                await same(late, projection)
                return len(late.seen) < everything / 2

        await until(compacted, "Kafka has compacted the topic", pause=1.0, patience=120)
    await side.stop()


async def test_an_older_copy_put_back(kafka_broker: KafkaBroker, kafka_topic: str, tmp_path: Path) -> None:
    """With the projection comes the checkpoint of its time: what is applied again is published again."""
    topic, file = f"{kafka_topic}-restored", tmp_path / "bin.db"
    kafka_broker.create_topic(topic, configs=COMPACTED)
    projection, log = (
        f"sqlite:///{file}",
        [Said(f"e{n}", resource_id=f"v{n % 15}", occurred=n) for n in range(40)],
    )
    migrate(projection)
    async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
        side = writer(projection)
        await side.start()
        feed = await Feed.of(side)
        await feed.push(*log[:20])
        async with publishing(kafka_broker, topic, projection):
            await same(subscriber, projection)
        await side.stop()
        shutil.copy(file, tmp_path / "backup.db")

        await side_with(projection, log[20:], kafka_broker, topic, subscriber)
        for name in ("bin.db", "bin.db-wal", "bin.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        shutil.copy(tmp_path / "backup.db", file)
        discarded = Said("d1", "discarded", name="e1", resource_id="v1")
        await side_with(projection, [*log[20:], discarded], kafka_broker, topic, subscriber)


async def side_with(
    projection: str, said: list[Said], broker: KafkaBroker, topic: str, subscriber: Subscriber
) -> None:
    """A worker goes on where the projection stands, a publisher beside it; the copy is the bin."""
    side = writer(projection)
    await side.start()
    feed = await Feed.of(side)
    assert feed.offset == 20
    async with publishing(broker, topic, projection, owner="again"):
        for one in said:
            await feed.push(one)
        await same(subscriber, projection)
    await side.stop()
