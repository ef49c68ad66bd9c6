"""A subscriber of the topic of entries holds the bin, whatever happens to it and to those who publish."""

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.projection.read_pool import ReadPool
from tests.entries_kit import COMPACTED, Subscriber
from tests.projection_kit import Feed, Said, writer
from tests.properties.test_projection import DECISIONS, SAID
from tests.publisher_kit import Publishing, bin_as_published
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

PARTITIONS = (0, 1)
STEP = st.one_of(
    st.tuples(st.sampled_from(PARTITIONS), st.lists(st.one_of(SAID, DECISIONS), min_size=1, max_size=4)),
    st.sampled_from(["killed", "restarted", "rebuilt", "read"]),
)
_numbers = itertools.count()


class World:
    """A log in memory, a projection of it, a publisher: each may be replaced by a new one."""

    def __init__(self, broker: KafkaBroker, topic: str, folder: Path) -> None:
        self._broker = broker
        self._topic = topic
        self._folder = folder
        self._log: dict[int, list[Sequence[Said]]] = {number: [] for number in PARTITIONS}

    async def rebuild(self) -> None:
        """A new projection; what is in the log comes in while a publisher is at it already."""
        self.address = f"sqlite:///{self._folder}/{next(_numbers)}.db"
        self._writer = writer(self.address)
        await self._writer.start()
        self._feeds = {number: await Feed.of(self._writer, partition=number) for number in PARTITIONS}
        self.publish()
        for number, batches in self._log.items():
            for batch in batches:
                await self._feeds[number].push(*batch)

    async def push(self, partition: int, said: Sequence[Said]) -> None:
        self._log[partition].append(said)
        await self._feeds[partition].push(*said)

    def publish(self) -> None:
        ends = {number: sum(map(len, batches)) for number, batches in self._log.items()}
        owner = f"publisher {next(_numbers)}"
        self._publishing = Publishing(
            self._broker, self._topic, self.address, owner=owner, lease=1.0, log_ends=ends
        )
        self._publishing.start()

    async def end(self, *, kill: bool) -> None:
        """Of the publisher: in good order, or in the middle of what it does."""
        if kill:
            await self._publishing.kill()
            await self._publishing.close()
        else:
            await self._publishing.stop()

    async def wanted(self) -> dict[str, object]:
        pool = ReadPool(self.address, readers=1)
        await pool.start()
        try:
            return await bin_as_published(pool)
        finally:
            await pool.stop()

    async def close(self) -> None:
        await self.end(kill=False)
        await self._writer.stop()

    async def replace(self) -> None:
        await self.end(kill=True)
        await self._writer.stop()
        await self.rebuild()


# Killed in the middle of connecting, it leaves connections that nobody closes.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=10))
async def test_a_subscriber_holds_the_bin(
    kafka_broker: KafkaBroker, kafka_topic: str, steps: list[str | tuple[int, list[Said]]]
) -> None:
    """Publishers are killed, replaced, start anew on a rebuilt projection: the copy is the bin."""
    topic = f"{kafka_topic}-{next(_numbers)}"
    kafka_broker.create_topic(topic, configs=COMPACTED)
    with tempfile.TemporaryDirectory() as folder:
        world = World(kafka_broker, topic, Path(folder))
        await world.rebuild()
        async with Subscriber(kafka_broker.bootstrap, topic) as subscriber:
            for step in [*steps, "read"]:
                match step:
                    case "rebuilt":
                        await world.replace()
                    case "killed" | "restarted":
                        await world.end(kill=step == "killed")
                        world.publish()
                    case "read":
                        wanted = await world.wanted()
                        await subscriber.until(lambda copy, wanted=wanted: copy == wanted)  # type: ignore[misc]  # a lambda's default has no type
                    case (partition, said):
                        await world.push(partition, said)
        async with Subscriber(kafka_broker.bootstrap, topic) as late:
            await late.until(lambda copy: copy == wanted)
        await world.close()
    kafka_broker.delete_topic(topic)
