"""The compacted topic of entries on Kafka. See ``entries_base`` for the contract."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consumer.clock import Clock
from consumer.errors import FencedError, LogUnavailableError, StopError, TopicEmptiedError
from consumer.eventlog.entries_base import HeldKey, OpenedTopic, TopicRecord
from consumer.eventlog.kafka.abandon import ABANDON_SECONDS
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.entries_admin import EntriesTopicAdmin
from consumer.eventlog.kafka.membership import RawRecord
from consumer.eventlog.kafka.probe import has_topic
from consumer.eventlog.kafka.session import partition_for
from consumer.eventlog.kafka.settled import Settled
from consumer.eventlog.kafka.topic import no_such_topic
from consumer.eventlog.kafka.transactions import FENCED, TransactionalProducer
from schemas.records import CE_SOURCE, OWN_SOURCE

_T = TypeVar("_T")

_OPEN_SECONDS: Final = 15.0
"""Longer than a transaction that a predecessor left half-committed takes to be completed."""
_SETTLE_SECONDS: Final = 3.0
"""How long markers under way may take, before what has none is ended."""
_CLOSE_SECONDS: Final = 3.0
_STANDSTILL_SECONDS: Final = 20.0
_AT_ONCE: Final = 5_000
_FETCH_MS: Final = 500
_REQUEST_SECONDS: Final = 5.0


class KafkaEntriesTopic:
    """See ``EntriesTopic``. ``deadline`` bounds a transaction; brokers end one open for twice that."""

    def __init__(
        self,
        connection: KafkaConnection,
        *,
        allow_single_replica: bool,
        clock: Clock,
        deadline: float = 8.0,
        transactional_id: str | None = None,
    ) -> None:
        """``transactional_id``: by default made of the topic's name, so that all processes share it."""
        self._connection = connection
        self._admin = EntriesTopicAdmin(connection)
        self._allow_single_replica = allow_single_replica
        self._clock = clock
        self._deadline = deadline
        self._transactional_id = transactional_id or f"binmirror-entries-{connection.topic}"
        self._producer: TransactionalProducer | None = None
        self._settled: Settled | None = None
        self._reached: dict[int, int] = {}
        """The ends that the topic has had since it was opened."""
        self._leaving: set[asyncio.Task[None]] = set()

    async def open(self) -> OpenedTopic:
        self._give_up()
        problems = await self._admin.check(allow_single_replica=self._allow_single_replica)
        if problems:
            raise StopError("; ".join(problems))
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                self._producer = await TransactionalProducer.open(
                    self._connection,
                    transactional_id=self._transactional_id,
                    transaction_timeout=2 * self._deadline,
                )
        except (KafkaError, TimeoutError) as error:
            doing = f"taking over the transactional id {self._transactional_id}"
            raise await self._connection.unreachable(doing, error) from error
        self._settled = self._settled or Settled(self._connection)
        try:
            ends = await self._decide(self._producer, self._settled)
        except BaseException:
            self._give_up()
            raise
        self._reached = dict(ends)
        return OpenedTopic(self._producer.partitions, ends)

    async def _decide(self, producer: TransactionalProducer, settled: Settled) -> Mapping[int, int]:
        """End what the coordinator takes for complete but is open; partition → its end, all decided.

        Only what no ``publish`` has told of as committed can be open, so it may be aborted.
        """
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                return await settled.ends()
        except TimeoutError:
            pass  # no marker comes any more
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await producer.abort_in(await settled.undecided())
                return await settled.ends()
        except (KafkaError, TimeoutError) as error:
            raise self._connection.unavailable("ending a transaction that was left open", error) from error

    async def publish(self, records: Sequence[TopicRecord]) -> Mapping[int, int]:
        producer, settled = self._producer, self._settled
        if producer is None or settled is None:
            raise LogUnavailableError(f"{self._connection.address}: not open")
        try:
            async with asyncio.timeout(self._deadline):
                firsts = await producer.commit(records, timestamp=self._clock.now() // 1000)
                ends = await settled.ends()
        except FENCED as error:
            self._give_up()
            raise FencedError(
                f"{self._connection.address}: another process has the transactional id "
                f"{self._transactional_id} by now ({type(error).__name__})"
            ) from error
        except (KafkaError, TimeoutError) as error:
            self._give_up()
            raise self._connection.unavailable("publishing", error) from error
        except BaseException:
            self._give_up()
            raise
        # Made anew, the topic may by now be longer than it was: where these records are tells.
        self._expect({**ends, **firsts})
        self._reached = dict(ends)
        return ends

    async def check(self) -> None:
        if self._settled is None:
            raise LogUnavailableError(f"{self._connection.address}: not open")
        self._expect(await self._settled.replicated())

    async def held(self) -> AsyncGenerator[Sequence[HeldKey], None]:
        if self._producer is None:
            raise LogUnavailableError(f"{self._connection.address}: not open")
        partitions = self._producer.partitions
        try:
            async with _reading(self._connection) as consumer:
                async for portion in self._held(consumer, partitions):
                    yield portion
        except (KafkaError, TimeoutError) as error:
            raise self._connection.unavailable("reading what the topic holds", error) from error

    async def close(self) -> None:
        self._give_up()
        if self._settled is not None:
            await self._settled.close()
            self._settled = None
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=ABANDON_SECONDS + 1)

    def _expect(self, offsets: Mapping[int, int]) -> None:
        """Raise TopicEmptiedError if what ended somewhere has less there now."""
        for number, end in self._reached.items():
            if offsets.get(number, 0) < end:
                self._give_up()
                raise TopicEmptiedError(
                    f"{self._connection.address}: partition {number} ended at {end}, and now there is less: "
                    "the topic was made anew, or has lost records"
                )

    def _give_up(self) -> None:
        """In the background: the next producer need not wait for this one, which its epoch shuts out."""
        if self._producer is not None:
            task = asyncio.create_task(self._producer.abandon(), name="entries-topic-leave")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
            self._producer = None

    async def _held(self, consumer: AIOKafkaConsumer, partitions: int) -> AsyncIterator[Sequence[HeldKey]]:
        tps = [TopicPartition(self._connection.topic, number) for number in range(partitions)]
        consumer.assign(tps)
        ends = await _bounded(consumer.end_offsets(tps))
        behind = set(tps)
        moved = self._clock.monotonic()
        while behind:
            fetched = await _bounded(consumer.getmany(*behind, timeout_ms=_FETCH_MS, max_records=_AT_ONCE))
            for tp, records in fetched.items():
                yield [self._checked(record, tp.partition, len(tps)) for record in records]
            # Markers and what compaction has left of batches move the position without a record.
            reached = {tp for tp in behind if await _bounded(consumer.position(tp)) >= ends[tp]}
            if fetched or reached:
                moved = self._clock.monotonic()
            elif self._clock.monotonic() - moved > _STANDSTILL_SECONDS:
                raise TimeoutError
            behind -= reached

    def _checked(self, record: RawRecord, partition: int, partitions: int) -> HeldKey:
        """Raises StopError for a record that must not be taken for one of ours, and perhaps be deleted."""
        where = f"{self._connection.address}: the record at {partition}/{record.offset}"
        if record.key is None or (CE_SOURCE, OWN_SOURCE.encode()) not in record.headers:
            raise StopError(f"{where} was not written by binmirror: give ENTRIES_TOPIC a topic of its own")
        if partition_for(record.key, partitions) != partition:
            raise StopError(
                f"{where} lies in another partition than its key has today: partitions were added, and "
                "subscribers would see entries in the wrong order. Name a new topic in ENTRIES_TOPIC"
            )
        return HeldKey(record.key, record.value is not None)


@asynccontextmanager
async def _reading(connection: KafkaConnection) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group, which sees what is committed."""
    consumer = AIOKafkaConsumer(
        **connection.client_arguments(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        request_timeout_ms=int(_REQUEST_SECONDS * 1000),
    )
    try:
        async with asyncio.timeout(2 * _REQUEST_SECONDS):
            await consumer.start()
            if not await has_topic(consumer, connection.topic):
                raise LogUnavailableError(str(no_such_topic(connection)))
        yield consumer
    finally:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await consumer.stop()
        except (TimeoutError, KafkaError):
            pass  # it belongs to no group: nothing is left behind but sockets that time out


async def _bounded(question: Awaitable[_T]) -> _T:
    async with asyncio.timeout(2 * _REQUEST_SECONDS):
        return await question
