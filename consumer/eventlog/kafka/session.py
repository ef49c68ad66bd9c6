"""One connected aiokafka producer.

An idempotent producer of aiokafka never gives up: with the broker frozen, a send and then ``stop()`` wait
for ever. So nothing here waits for either without a deadline, and a producer that failed is abandoned.
"""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.structs import RecordMetadata

from consumer.errors import LogUnavailableError
from consumer.eventlog.kafka.abandon import abandon
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.topic import no_such_topic, topic_state
from consumer.types import NewRecord

BATCH_BYTES: Final = 256 * 1024
"""aiokafka's default of 16 KiB makes hundreds of concurrent appends many times slower."""
BATCH_OVERHEAD: Final = 61
"""Bytes of a batch beside its records."""
_RECORD_OVERHEAD: Final = 45
"""More than lengths, deltas and counts of one record take."""
_HEADER_OVERHEAD: Final = 10


def record_bytes(record: NewRecord) -> int:
    """At most so many bytes in a batch."""
    key, content, headers = record
    size = _RECORD_OVERHEAD + len(key) + len(content) + _HEADER_OVERHEAD * len(headers)
    for name, value in headers:
        # A character takes up to four bytes in UTF-8; names are short.
        size += 4 * len(name) + len(value)
    return size


def partition_for(key: bytes, partitions: int) -> int:
    """CRC-32, as librdkafka's default for keyed records; a tenth of the cost of Java's murmur2 in Python."""
    return zlib.crc32(key) % partitions


class Session:
    """A started producer with what the topic said about itself when it started."""

    def __init__(
        self, producer: AIOKafkaProducer, topic: str, partitions: int, topic_limit: int | None
    ) -> None:
        self._producer = producer
        self._topic = topic
        self.partitions = partitions
        self.topic_limit = topic_limit
        """``max.message.bytes`` of the topic; None where the cluster does not tell us."""

    @classmethod
    async def open(cls, connection: KafkaConnection, *, request_timeout: float) -> "Session":
        """Connect. Bound it from outside: aiokafka retries without end.

        Raises:
            LogUnavailableError: not reachable, or no such topic.

        """
        limit = await _topic_limit(connection, request_timeout)
        producer = AIOKafkaProducer(
            **connection.client_arguments(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=int(request_timeout * 1000),
            metadata_max_age_ms=60_000,
        )
        session = cls(producer, connection.topic, 0, limit)
        try:
            await producer.start()
            session.partitions = len(await producer.partitions_for(connection.topic))
        except BaseException as error:
            await session.abandon()
            if isinstance(error, KafkaError):
                raise await connection.unreachable("connecting the producer", error) from error
            raise
        return session

    def send(
        self, partition: int, records: Sequence[NewRecord], *, timestamp: int, limit: int
    ) -> tuple[int, "asyncio.Future[RecordMetadata]"]:
        """Hand over as many of ``records`` as fit into one batch of ``limit`` bytes, at least one.

        Returns how many, and a future of their acknowledgement, which may never come. Cancelling that
        future does not take the batch back. For one batch of a partition at a time.

        Raises:
            LogUnavailableError: the producer does not know the topic any more.
            KafkaError: the producer has failed.

        """
        batch = self._producer.create_batch()
        count = 0
        for key, value, headers in records:
            # The batch itself keeps to BATCH_BYTES.
            if count and limit < BATCH_BYTES and batch.size() + record_bytes(records[count]) > limit:
                break
            if batch.append(timestamp=timestamp, key=key, value=value, headers=list(headers)) is None:
                break
            count += 1
        # Closed, so that nothing else gets into it: the offsets of its records are counted from its base.
        batch.close()
        handing = self._producer.send_batch(batch, self._topic, partition=partition)
        # Driven by hand: a task for each batch costs, and by its next turn aiokafka's request may have gone.
        try:
            handing.send(None)
        except StopIteration as handed:
            return count, handed.value
        handing.close()
        raise LogUnavailableError(f"no metadata of topic {self._topic}")

    async def ping(self) -> bool:
        """Ask the cluster for its metadata; False where no broker answered."""
        answered: bool = await self._producer.client.force_metadata_update()
        return answered

    async def refresh_partitions(self) -> None:
        """Take in partitions added to the topic since."""
        self.partitions = len(await self._producer.partitions_for(self._topic))

    async def abandon(self) -> None:
        """Stop the producer; see ``abandon``."""
        await abandon(self._producer)


async def _topic_limit(connection: KafkaConnection, request_timeout: float) -> int | None:
    """The topic's ``max.message.bytes``, or None without permission to read it."""
    client = AIOKafkaAdminClient(
        **connection.client_arguments(), request_timeout_ms=int(request_timeout * 1000)
    )
    try:
        await client.start()
        state = await topic_state(client, connection.topic)
    except TopicAuthorizationFailedError:
        return None
    except KafkaError as error:
        raise connection.unavailable("reading the topic's configuration", error) from error
    finally:
        await client.close()
    if state is None:
        raise LogUnavailableError(str(no_such_topic(connection)))
    return int(state.configs["max.message.bytes"])
