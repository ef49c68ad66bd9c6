"""What tests of event logs share: a harness for each adapter, and reading until there is enough."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from consumer.eventlog.base import Appended, LogAdmin, Producer, Reader
from consumer.types import NewRecord, Record

PATIENCE = 30.0
"""Seconds that a condition may take before a test fails; far more than it needs."""


class LogHarness(ABC):
    """Makes an adapter's parts for one log that was empty when the test began. None is started."""

    refused_size: int
    """Bytes of a value that this log refuses for good."""

    @abstractmethod
    def producer(self) -> Producer:
        """Another producer."""

    @abstractmethod
    def reader(self) -> Reader:
        """Another member of one group."""

    @abstractmethod
    def admin(self) -> LogAdmin:
        """An onlooker of the log."""

    @abstractmethod
    def admin_of_missing_log(self) -> LogAdmin:
        """An onlooker of a log that does not exist, at a place that could hold one."""

    @asynccontextmanager
    async def producing(self) -> AsyncIterator[Producer]:
        """A started producer, stopped afterwards."""
        producer = self.producer()
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        """A started reader that was given every partition, none of them sought; stopped afterwards."""
        reader = self.reader()
        await reader.start()
        try:
            await assigned(reader)
            yield reader
        finally:
            await reader.stop()


def numbered(number: int) -> NewRecord:
    """A record that can be told from others, with a key of its own."""
    return NewRecord(b"p/voucher/v_%d" % number, b'{"n": %d}' % number, (("n", b"%d" % number),))


async def append_all(producer: Producer, records: Iterable[NewRecord]) -> list[Appended]:
    return await asyncio.gather(*(producer.append(record) for record in records))


async def assigned(reader: Reader) -> None:
    assigned: set[int] = set()
    partitions = set(await reader.bounds())
    async with asyncio.timeout(PATIENCE):
        while assigned != partitions:
            poll = await reader.poll(max_records=10, wait=0.1)
            assigned = (assigned - poll.revoked) | poll.assigned
            assert not poll.records


async def from_start(reader: Reader) -> None:
    for partition, bounds in (await reader.bounds()).items():
        await reader.seek(partition, bounds.start)


async def read_until(
    reader: Reader, enough: Callable[[Sequence[Record]], bool], *, max_records: int = 100
) -> list[Record]:
    """Poll until ``enough`` says so of all records that came."""
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while not enough(records):
            poll = await reader.poll(max_records=max_records, wait=0.2)
            assert not poll.revoked
            assert sum(map(len, poll.records.values())) <= max_records
            for partition, batch in poll.records.items():
                assert all(record.partition == partition for record in batch)
                records += batch
    return records


async def read_count(reader: Reader, count: int, *, max_records: int = 100) -> list[Record]:
    records = await read_until(reader, lambda got: len(got) >= count, max_records=max_records)
    assert len(records) == count
    return records


async def stays_silent(reader: Reader, polls: int = 5) -> None:
    for _ in range(polls):
        assert not (await reader.poll(max_records=100, wait=0.05)).records
