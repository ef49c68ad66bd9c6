"""One transactional producer of aiokafka.

What its source says, and what follows from it:

- ``start`` looks for the transaction coordinator, and asks it for an epoch, until it has one; a send, a
  commit and ``stop`` wait for brokers just as long. So each has a deadline here.
- A commit waits until no batch is under way, but does not ask how they ended: with one refused it would
  commit the others. So every acknowledgement is looked at before.
- When the coordinator refuses the epoch (another producer has the id by now, or the transaction was open
  for too long) the sending task ends, and all that is under way fails. Nothing leads back from there, nor
  from most other errors: a producer that failed once is abandoned, and the next one gets a new epoch.
- ``stop`` leaves an open transaction open. The next producer's start aborts it, and without one the
  transaction timeout does; until then readers of what is committed wait. So that timeout is short.
- A commit acknowledged is not yet visible, and may never be: see ``settled``.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    NodeNotReadyError,
    ProducerClosed,
    ProducerFenced,
)

from consumer.eventlog.entries_base import TopicRecord
from consumer.eventlog.kafka.abandon import abandon
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.session import BATCH_BYTES, partition_for, record_bytes
from consumer.types import NewRecord

FENCED: Final = (ProducerFenced, InvalidProducerEpoch)
"""The coordinator, or a partition's leader, knows a later epoch of this transactional id."""
_REQUEST_SECONDS: Final = 5.0


class TransactionalProducer:
    """Started by ``open``; every call but ``abandon`` has to be bounded from outside."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partitions: int) -> None:
        self._producer = producer
        self._topic = topic
        self.partitions = partitions

    @classmethod
    async def open(
        cls, connection: KafkaConnection, *, transactional_id: str, transaction_timeout: float
    ) -> "TransactionalProducer":
        """Connect and take the transactional id over. Raises KafkaError."""
        producer = AIOKafkaProducer(
            **connection.client_arguments(),
            acks="all",
            transactional_id=transactional_id,
            transaction_timeout_ms=int(transaction_timeout * 1000),
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=int(_REQUEST_SECONDS * 1000),
            metadata_max_age_ms=60_000,
        )
        opened = cls(producer, connection.topic, 0)
        try:
            await producer.start()
            opened.partitions = len(await producer.partitions_for(connection.topic))
        except BaseException as error:
            await opened.abandon()
            if isinstance(error, AssertionError):
                # How aiokafka says that it knows no broker: one that is just back names none for a while.
                raise NodeNotReadyError(str(error)) from error
            raise
        return opened

    async def commit(self, records: Sequence[TopicRecord], *, timestamp: int) -> Mapping[int, int]:
        """All records in one transaction; partition → offset of its first one, where that is known.

        The coordinator has it then, the partitions perhaps not yet (``settled``).

        Raises:
            KafkaError: abandon this producer; what became of the transaction is not known.

        """
        lanes: dict[int, list[TopicRecord]] = {}
        for record in records:
            lanes.setdefault(partition_for(record.key, self.partitions), []).append(record)
        await self._producer.begin_transaction()
        firsts = await asyncio.gather(
            *(self._send(number, lane, timestamp) for number, lane in lanes.items())
        )
        try:
            await self._producer.commit_transaction()
        except AssertionError as error:
            # How aiokafka says that the sending task has ended since the last acknowledgement.
            raise ProducerClosed(str(error)) from error
        return {number: first for number, first in zip(lanes, firsts, strict=True) if first is not None}

    async def abort_in(self, partitions: Iterable[int]) -> None:
        """End what an earlier epoch of this id has left open in ``partitions``, as never committed.

        An aborted transaction does it: its markers decide over all that this producer has open there.
        It has a record for each partition, since no other call of aiokafka's has a partition take part.
        Raises KafkaError.
        """
        await self._producer.begin_transaction()
        for number in partitions:
            sent = await self._producer.send(self._topic, value=None, key=b"aborted", partition=number)
            await sent
        await self._producer.abort_transaction()

    async def _send(self, partition: int, records: Sequence[TopicRecord], timestamp: int) -> int | None:
        """One batch after the other: several outstanding on one partition may arrive out of order."""
        first = None
        rest = list(records)
        while rest:
            batch = self._producer.create_batch()
            count = 0
            for key, value, headers in rest:
                size = record_bytes(NewRecord(key, value or b"", headers))
                if count and batch.size() + size > BATCH_BYTES:
                    break
                if batch.append(timestamp=timestamp, key=key, value=value, headers=list(headers)) is None:
                    break
                count += 1
            batch.close()
            acknowledged = await self._producer.send_batch(batch, self._topic, partition=partition)
            base = (await acknowledged).offset
            first = base if first is None and base >= 0 else first
            rest = rest[count:]
        return first

    async def abandon(self) -> None:
        """Stop the producer; see ``abandon``."""
        await abandon(self._producer)
