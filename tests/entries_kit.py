"""A subscriber of the topic of entries, as others write it: reads what is committed, keeps a copy."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from consumer.clock import SystemClock
from consumer.eventlog.entries_base import TopicRecord
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.entries import KafkaEntriesTopic
from schemas.records import entry_headers
from tests.servers.kafka import KafkaBroker

COMPACTED = {"cleanup.policy": "compact", "delete.retention.ms": str(7 * 24 * 3600 * 1000)}
PATIENCE = 60.0


class Subscriber:
    """Follows the topic while its block lasts; ``copy`` is what it holds."""

    def __init__(self, bootstrap: str, topic: str, **security: Any) -> None:
        """``security``: what the consumer takes besides."""
        self._bootstrap = bootstrap
        self._security = security
        self._topic = topic
        self.copy: dict[str, Any] = {}
        """Key → the entry."""
        self.seen: list[ConsumerRecord[bytes, bytes]] = []
        """Every record, in the order of reading."""

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            **self._security,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await self._consumer.start()
        await self._consumer.topics()
        numbers = await self._consumer._client._wait_on_metadata(self._topic)
        self._parts = [TopicPartition(self._topic, number) for number in sorted(numbers)]
        self._consumer.assign(self._parts)
        await self._consumer.seek_to_beginning(*self._parts)
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._consumer.stop()

    async def _follow(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    self._take(record)

    def _take(self, record: ConsumerRecord[bytes, bytes]) -> None:
        self.seen.append(record)
        assert record.key is not None
        key = record.key.decode()
        if record.value is None:
            self.copy.pop(key, None)
        else:
            self.copy[key] = json.loads(record.value)

    async def until(
        self, condition: Callable[[Mapping[str, Any]], bool], *, patience: float = PATIENCE
    ) -> None:
        """Wait until the copy is as wanted."""
        async with asyncio.timeout(patience):
            while not condition(self.copy):
                assert not self._task.done(), self._task.exception()
                await asyncio.sleep(0.02)

    async def until_seen(self, number: int) -> None:
        """Wait until so many records were read, no more."""
        await self.until(lambda _: len(self.seen) >= number)
        assert len(self.seen) == number


def value(key: str, number: int, *, size: int = 10) -> TopicRecord:
    """A record as binmirror writes it."""
    body = json.dumps({"number": number, "padding": "x" * size}).encode()
    return TopicRecord(key.encode(), body, entry_headers(key.encode(), "p", f"0-{number}", 0, removed=False))


def tombstone(key: str) -> TopicRecord:
    return TopicRecord(key.encode(), None, entry_headers(key.encode(), "p", "0-0", 0, removed=True))


def entries_topic(broker: KafkaBroker, topic: str, **options: Any) -> KafkaEntriesTopic:
    """Not open yet."""
    connection = KafkaConnection(bootstrap_servers=(broker.bootstrap,), topic=topic)
    return KafkaEntriesTopic(connection, allow_single_replica=True, clock=SystemClock(), **options)


@asynccontextmanager
async def opened(broker: KafkaBroker, topic: str, **options: Any) -> AsyncIterator[KafkaEntriesTopic]:
    """Open for the block."""
    entries = entries_topic(broker, topic, **options)
    try:
        await entries.open()
        yield entries
    finally:
        await entries.close()
