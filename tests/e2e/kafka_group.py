"""Members of a consumer group, driven in tests as a worker drives its reader."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from consumer.clock import SystemClock
from consumer.errors import LogUnavailableError
from consumer.eventlog.base import Poll
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.reader import KafkaReader
from consumer.metrics import Metrics
from consumer.types import Record
from tests.conformance.eventlog import PATIENCE

SESSION = 1.5


class Reachable(Protocol):
    """What a reader needs of a broker."""

    @property
    def bootstrap(self) -> str:
        """``host:port``."""


def make_reader(
    broker: Reachable, topic: str, *, stall_timeout: float = 30.0, max_poll_interval: float = 60.0
) -> KafkaReader:
    return KafkaReader(
        KafkaConnection(bootstrap_servers=(broker.bootstrap,), topic=topic),
        group_id=f"of-{topic}",
        clock=SystemClock(),
        metrics=Metrics(),
        stall_timeout=stall_timeout,
        session_timeout=SESSION,
        max_poll_interval=max_poll_interval,
    )


@dataclass
class Member:
    """A reader driven as a worker drives it: seeks to stored positions, keeps what comes."""

    reader: KafkaReader
    positions: dict[int, int]
    """Shared by the members of a group, as the projection's checkpoints are."""
    held: set[int] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)

    async def step(self, *, max_records: int = 100) -> Poll:
        poll = await self.reader.poll(max_records=max_records, wait=0.1)
        self.held -= poll.revoked
        for partition in poll.assigned:
            assert partition not in self.held
            self.held.add(partition)
            await self.reader.seek(partition, self.positions.get(partition, 0))
        for partition, records in poll.records.items():
            assert partition in self.held
            self.records += records
            self.positions[partition] = records[-1].offset + 1
        return poll

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                try:
                    await self.step()
                except LogUnavailableError:
                    await asyncio.sleep(0.05)


@asynccontextmanager
async def member(reader: KafkaReader, positions: dict[int, int] | None = None) -> AsyncIterator[Member]:
    await reader.start()
    try:
        yield Member(reader, {} if positions is None else positions)
    finally:
        async with asyncio.timeout(30):
            await reader.stop()


async def poll_for_ever(reader: Member) -> None:
    async with asyncio.timeout(30):
        while True:
            await reader.step()
