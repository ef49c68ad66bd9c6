"""One membership in the consumer group: who gets which partitions, and raw fetching from them.

aiokafka rebalances in the background and would deliver records from the group's committed offset before
anybody has sought. So the listener only pauses and takes notes, and nothing is fetched from a partition
that was not sought.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord

from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.probe import has_topic
from consumer.eventlog.kafka.topic import no_such_topic

RawRecord: TypeAlias = "ConsumerRecord[bytes | None, bytes | None]"

_PARTITION_FETCH_BYTES: Final = 4 * 1024 * 1024
"""About two thousand deliveries a partition and fetch."""
_FETCH_WAIT_MS: Final = 250
_FOREVER_MS: Final = 7 * 24 * 3600 * 1000


class Membership(ConsumerRebalanceListener):
    """Notes what the group gives and takes. One task polls; aiokafka calls the listener's methods."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._rebalancing = True
        self._lost = False
        self._given: frozenset[int] | None = None
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def join(
        cls, connection: KafkaConnection, *, group_id: str, session_timeout: float
    ) -> "Membership":
        """Connect and ask for partitions; which ones shows later. Bound it from outside.

        Raises:
            KafkaError: not reachable.
            StopError: no such topic.

        """
        consumer = AIOKafkaConsumer(
            **connection.client_arguments(),
            group_id=group_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=int(session_timeout * 1000),
            heartbeat_interval_ms=int(session_timeout * 1000 / 3),
            # Joining a group waits for the other members that long.
            rebalance_timeout_ms=int(session_timeout * 1000),
            request_timeout_ms=int(session_timeout * 1000) + 5_000,
            # The reader itself watches over how long nobody polled.
            max_poll_interval_ms=_FOREVER_MS,
            max_partition_fetch_bytes=_PARTITION_FETCH_BYTES,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            # Partitions added, or the topic made anew, show no later than this.
            metadata_max_age_ms=5_000,
        )
        membership = cls(consumer, connection.topic)
        try:
            await consumer.start()
            found = await has_topic(consumer, connection.topic)
            consumer.subscribe([connection.topic], listener=membership)
        except BaseException:
            await membership.leave()
            raise
        if not found:
            await membership.leave()
            raise no_such_topic(connection)
        return membership

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Called at the start of every rebalance: all partitions are given up."""
        self._rebalancing = True
        self._lost = self._lost or bool(revoked)
        self._given = None
        self._tell()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Called at the end of every rebalance."""
        for tp in assigned:
            self._consumer.pause(tp)
            # A position, any, keeps the client from looking for the group's committed offset.
            self._consumer.seek(tp, 0)
        self._rebalancing = False
        self._given = frozenset(tp.partition for tp in assigned)
        self._tell()

    @property
    def settled(self) -> bool:
        """No rebalance is under way, and what it gave was taken note of."""
        return not self._rebalancing and self._given is None

    def take_news(self) -> tuple[bool, frozenset[int]]:
        """Whether everything held was lost, and what was given since; forgets both."""
        lost, given = self._lost, self._given
        self._lost, self._given = False, None
        self._news = asyncio.get_running_loop().create_future()
        return lost, given or frozenset()

    def seek(self, partition: int, offset: int) -> None:
        """Fetch from ``offset`` on; nothing when the partition has been taken away meanwhile."""
        tp = TopicPartition(self._topic, partition)
        try:
            self._consumer.seek(tp, offset)
            self._consumer.resume(tp)
        except IllegalStateError:
            pass  # the next poll says that it is revoked

    def pause(self, partition: int) -> None:
        try:
            self._consumer.pause(TopicPartition(self._topic, partition))
        except IllegalStateError:
            pass  # as in seek

    async def fetched(self, partition: int, limit: int) -> Sequence[RawRecord]:
        """Up to ``limit`` records that are already here; does not wait."""
        if self._rebalancing:
            return ()
        tp = TopicPartition(self._topic, partition)
        found = await self._consumer.getmany(tp, timeout_ms=0, max_records=limit)
        return found.get(tp, ())

    async def wait(self, partitions: Iterable[int], limit: int, seconds: float) -> dict[int, list[RawRecord]]:
        """Wait for records of ``partitions`` or for a rebalance."""
        tps = [TopicPartition(self._topic, partition) for partition in partitions]
        if not tps or self._rebalancing:
            await asyncio.wait([self._news], timeout=seconds)
            return {}
        # getmany itself would wait without end for a rebalance under way, so it is left to its own task.
        fetch: asyncio.Task[dict[TopicPartition, list[RawRecord]]] = asyncio.create_task(
            self._consumer.getmany(*tps, timeout_ms=max(1, int(seconds * 1000)), max_records=limit),
            name="kafka-fetch",
        )
        try:
            waiting: list[asyncio.Future[Any]] = [fetch, self._news]
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            fetch.cancel()
        await asyncio.wait([fetch])
        if fetch.cancelled() or self._rebalancing:
            return {}
        return {tp.partition: records for tp, records in fetch.result().items()}

    async def leave(self) -> None:
        """Leave the group; with brokers that do not answer it takes until its requests time out.

        Never cut short while the process lives: a half-stopped consumer goes on sending heartbeats, and
        would keep partitions that nobody reads.
        """
        self._rebalancing = True
        try:
            await self._consumer.stop()
        except KafkaError:
            pass  # the group drops it when its session is over

    def _tell(self) -> None:
        if not self._news.done():
            self._news.set_result(None)
