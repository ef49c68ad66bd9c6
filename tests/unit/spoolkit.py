"""What tests of spool, relay and failover share: a log with faults, and a service's process in small."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import structlog
from pysqlite3 import dbapi2 as sqlite
from structlog.testing import LogCapture

from consumer.clock import SystemClock
from consumer.errors import LogUnavailableError, RecordRefusedError
from consumer.eventlog.base import Appended, Producer
from consumer.eventlog.failover import SpoolingProducer
from consumer.eventlog.packing import unpack_headers
from consumer.eventlog.spool import Relay, Spool
from consumer.eventlog.spool_file import SetAsideRecord, SpoolFile
from consumer.eventlog.sqlite import SqliteProducer
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.types import NewRecord

PATIENCE = 30.0
"""Seconds that a condition may take before a test fails; far more than it needs."""

Fault: TypeAlias = Literal["away", "silent", "refuses", "stored_but_silent"]


async def until(condition: Callable[[], bool]) -> None:
    """Return once ``condition`` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - conditions of files and other processes have no event
            await asyncio.sleep(0.005)


class FaultyProducer:
    """A real producer whose answers can be made to fail, for each record on its own."""

    def __init__(self, inner: Producer) -> None:
        self._inner = inner
        self.fault: Callable[[NewRecord], Fault | None] = lambda _record: None
        self.tried = 0
        """Appends that were asked of it."""
        self.silence_ends = asyncio.Event()
        self.stop_hangs = False

    def all(self, fault: Fault | None) -> None:
        """From now on each append has this fault."""
        self.fault = lambda _record: fault

    async def start(self) -> None:
        await self._inner.start()

    async def append(self, record: NewRecord) -> Appended:
        self.tried += 1
        fault = self.fault(record)
        if fault == "away":
            raise LogUnavailableError("the log is away")
        if fault == "refuses":
            raise RecordRefusedError("too large for the topic")
        if fault == "silent":
            await self.silence_ends.wait()
        appended = await self._inner.append(record)
        if fault == "stored_but_silent":
            raise LogUnavailableError("stored, but the answer got lost")
        return appended

    async def ping(self) -> None:
        if self.fault(NewRecord(b"", b"", ())) is not None:
            raise LogUnavailableError("the log is away")
        await self._inner.ping()

    async def stop(self) -> None:
        if self.stop_hangs:
            await self.silence_ends.wait()
        await self._inner.stop()


def partition_of(key: bytes) -> int:
    """Three partitions, for the sake of circuits; the log under test has one."""
    return zlib.crc32(key) % 3


def record(number: int) -> NewRecord:
    """A record that can be told from others."""
    return NewRecord(b"p/voucher/v_%d" % (number % 50), b"%d" % number, (("n", b"%d" % number), ("x", b"")))


def of_partition(partition: int, count: int) -> list[NewRecord]:
    """``count`` records whose keys belong to ``partition``."""
    found = [record(number) for number in range(20 * count + 200)]
    return [one for one in found if partition_of(one.key) == partition][:count]


async def keep_all(spool: Spool, records: Iterable[NewRecord]) -> None:
    """Put ``records`` into the spool, as deliveries of one moment are."""
    await asyncio.gather(
        *(spool.append(one, partition=partition_of(one.key), reason="away") for one in records)
    )


@dataclass
class Machine:
    """The log and the spool of one machine."""

    folder: Path
    deadline: float = 0.5
    metrics: Metrics = field(default_factory=Metrics)
    lines: LogCapture = field(default_factory=LogCapture)

    @property
    def log_path(self) -> Path:
        return self.folder / "log.db"

    @property
    def spool_path(self) -> Path:
        return self.folder / "spool.db"

    @property
    def log(self) -> Logger:
        logger: Logger = structlog.wrap_logger(
            None, processors=[self.lines], wrapper_class=structlog.make_filtering_bound_logger(0)
        )
        return logger

    def actions(self) -> list[str]:
        """What was logged so far."""
        return [entry["event"] for entry in self.lines.entries]

    def faulty(self) -> FaultyProducer:
        return FaultyProducer(
            SqliteProducer(self.log_path, clock=SystemClock(), metrics=self.metrics, deadline=self.deadline)
        )

    def spool(self) -> Spool:
        return Spool(self.spool_path, metrics=self.metrics, look_every=0.02)

    def relay(self, spool: Spool, producer: Producer) -> Relay:
        return Relay(
            spool,
            producer,
            clock=SystemClock(),
            metrics=self.metrics,
            log=self.log,
            look_every=0.005,
            first_pause=0.01,
            longest_pause=0.05,
            append_deadline=2.0,
        )

    def spooling(self, primary: Producer, spool: Spool) -> SpoolingProducer:
        return SpoolingProducer(
            primary,
            spool,
            partition_of=partition_of,
            deadline=self.deadline,
            clock=SystemClock(),
            metrics=self.metrics,
            log=self.log,
        )

    @asynccontextmanager
    async def open_spool(self) -> AsyncIterator[Spool]:
        spool = self.spool()
        await spool.start()
        try:
            yield spool
        finally:
            await spool.stop()

    @asynccontextmanager
    async def open_log(self) -> AsyncIterator[FaultyProducer]:
        producer = self.faulty()
        await producer.start()
        try:
            yield producer
        finally:
            producer.silence_ends.set()
            await producer.stop()

    @asynccontextmanager
    async def relaying(self, spool: Spool, producer: Producer) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.relay(spool, producer).run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[tuple[SpoolingProducer, FaultyProducer, Spool]]:
        """A producer with its spool, both started, and no relay."""
        primary, spool = self.faulty(), self.spool()
        producer = self.spooling(primary, spool)
        await producer.start()
        try:
            yield producer, primary, spool
        finally:
            primary.silence_ends.set()
            await producer.stop()

    def in_log(self) -> list[NewRecord]:
        """What the log holds, in its order."""
        return _rows(self.log_path, "records")

    def set_aside(self, after: int = 0) -> list[SetAsideRecord]:
        """What the log refused, as operators see it."""
        with closing(SpoolFile(self.spool_path, busy=1, clock=SystemClock())) as file:
            return file.list_set_aside(after, 100)

    def in_spool(self, shelf: str = "waiting") -> list[NewRecord]:
        """What lies on a shelf of the spool, in its order."""
        return _rows(self.spool_path, shelf)


def _rows(path: Path, table: str) -> list[NewRecord]:
    if not path.exists():
        return []
    with closing(sqlite.connect(str(path))) as connection:
        found = connection.execute(f"SELECT key, value, headers FROM {table} ORDER BY id")  # noqa: S608 - the names are ours
        return [NewRecord(key, value, unpack_headers(headers)) for key, value, headers in found]
