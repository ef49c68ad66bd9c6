"""Looks into a topic without joining a group: its bounds, and single records."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from consumer.errors import LogUnavailableError
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.topic import no_such_topic
from consumer.types import Bounds, Record

ANSWER_SECONDS: Final = 3.0
_STOP_SECONDS: Final = 2.0
_FETCH_MS: Final = 1000
_LOOKS: Final = 5
_LOOK_PAUSE: Final = 0.3


def to_record(record: "ConsumerRecord[bytes | None, bytes | None]") -> Record:
    """As the contract has it. What foreign producers leave out (a key, a value, a header's) is empty."""
    headers: Any = record.headers
    if None in [value for _, value in headers]:
        headers = tuple((name, value or b"") for name, value in headers)
    return Record(record.partition, record.offset, record.key or b"", record.value or b"", headers)


async def has_topic(consumer: AIOKafkaConsumer, topic: str) -> bool:
    """Whether a started ``consumer`` finds ``topic``. Raises KafkaError without an answer."""
    for look in range(_LOOKS):
        # A broker just started, or a topic just made: not every broker knows of it at once.
        if look:
            await asyncio.sleep(_LOOK_PAUSE)
        if topic in await consumer.topics():
            return True
    return False


class Probe:
    """Connects when first asked; every question has a deadline. Questions may overlap.

    With ``read_committed`` a partition ends where its first open transaction begins.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        *,
        isolation_level: Literal["read_uncommitted", "read_committed"] = "read_uncommitted",
    ) -> None:
        self._connection = connection
        self._isolation_level = isolation_level
        self._consumer: AIOKafkaConsumer | None = None
        self._connecting = asyncio.Lock()
        self._reading = asyncio.Lock()

    async def bounds(self) -> dict[int, Bounds]:
        """Of every partition.

        Raises:
            LogUnavailableError: no answer in time, or no such topic.

        """
        async with self._asking() as (consumer, tps):
            starts, ends = await asyncio.gather(consumer.beginning_offsets(tps), consumer.end_offsets(tps))
        return {tp.partition: Bounds(starts[tp], ends[tp]) for tp in tps}

    async def ends(self) -> dict[int, int]:
        """The ends alone, for half the requests. Raises LogUnavailableError."""
        async with self._asking() as (consumer, tps):
            ends = await consumer.end_offsets(tps)
        return {tp.partition: end for tp, end in ends.items()}

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                consumer = await self._connected()
                partitions = consumer.partitions_for_topic(self._connection.topic)
                if not partitions:
                    raise LogUnavailableError(str(no_such_topic(self._connection)))
                yield consumer, [TopicPartition(self._connection.topic, one) for one in sorted(partitions)]
        except (KafkaError, TimeoutError) as error:
            raise self._connection.unavailable("asking for the bounds", error) from error

    async def read_at(self, partition: int, offset: int) -> Record | None:
        """The record at ``offset``; None when the log does not hold it. Raises LogUnavailableError."""
        bounds = (await self.bounds()).get(partition)
        if bounds is None or not bounds.start <= offset < bounds.end:
            return None
        tp = TopicPartition(self._connection.topic, partition)
        try:
            async with self._reading, asyncio.timeout(ANSWER_SECONDS):
                consumer = await self._connected()
                consumer.assign([tp])
                consumer.seek(tp, offset)
                found: Mapping[TopicPartition, list[ConsumerRecord[bytes | None, bytes | None]]] = {}
                while not found.get(tp):
                    found = await consumer.getmany(tp, timeout_ms=_FETCH_MS, max_records=1)
                consumer.pause(tp)
        except (KafkaError, TimeoutError) as error:
            raise self._connection.unavailable(f"reading offset {offset}", error) from error
        record = found[tp][0]
        return to_record(record) if record.offset == offset else None

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _end(consumer)

    async def _connected(self) -> AIOKafkaConsumer:
        async with self._connecting:
            if self._consumer is None:
                consumer = AIOKafkaConsumer(
                    **self._connection.client_arguments(),
                    enable_auto_commit=False,
                    auto_offset_reset="none",
                    isolation_level=self._isolation_level,
                    request_timeout_ms=int(ANSWER_SECONDS * 2000),
                    metadata_max_age_ms=5_000,
                )
                try:
                    await self._follow(consumer)
                except BaseException:
                    await _end(consumer)
                    raise
                self._consumer = consumer
            return self._consumer

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        """Connect, and have the client keep this topic's partitions up to date."""
        await consumer.start()
        if not await has_topic(consumer, self._connection.topic):
            raise LogUnavailableError(str(no_such_topic(self._connection)))
        first = TopicPartition(self._connection.topic, 0)
        consumer.assign([first])
        consumer.seek(first, 0)
        consumer.pause(first)
        await consumer.end_offsets([first])


async def _end(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await consumer.stop()
    except (TimeoutError, KafkaError):
        pass  # it belongs to no group: nothing is left behind but sockets that time out
