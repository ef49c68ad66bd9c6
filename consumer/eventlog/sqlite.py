"""The event log on one machine: a SQLite file. Many processes may append while many read."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from consumer.clock import Clock
from consumer.errors import LogUnavailableError, RecordRefusedError, StopError
from consumer.eventlog.base import Appended, LogInfo, Poll
from consumer.eventlog.database_thread import DatabaseThread
from consumer.eventlog.group_commit import GroupCommit
from consumer.eventlog.packing import pack_headers
from consumer.eventlog.sqlite_log import PARTITION, LogFile, LogRow, LogWriter, create_log
from consumer.metrics import Metrics
from consumer.types import Bounds, NewRecord, Position, Record

__all__ = ["SqliteLogAdmin", "SqliteProducer", "SqliteReader", "create_log"]

_OPEN_DEADLINE: Final = 15.0
"""Seconds for making or opening the file, and taking in what a killed process left in its WAL."""
_READ_DEADLINE: Final = 5.0
"""Seconds within which the disk has to answer a reader."""


class SqliteProducer:
    """Appends to a SQLite log, which it makes when there is none."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        metrics: Metrics,
        deadline: float = 3.0,
        max_waiting: int = 20_000,
        max_record_bytes: int = 64 << 20,
    ) -> None:
        """``deadline``: seconds within which an append is answered. ``max_waiting``: a bound on records."""
        self._metrics = metrics
        self._deadline = deadline
        self._max_record_bytes = max_record_bytes
        # Shorter than the deadline, so that the answer says that the file is locked.
        self._writer = LogWriter(path, busy=0.8 * deadline, clock=clock)
        self._thread = DatabaseThread("the event log's writer")
        self._commits = GroupCommit[LogRow](
            self._thread,
            self._writer.write,
            after=self._writer.tidy,
            written=self._count,
            failed=self._count_failure,
            clock=clock,
            deadline=deadline,
            max_rows=max_waiting,
            max_bytes=64 << 20,
        )

    async def start(self) -> None:
        self._thread.start()
        await self._thread.run_within(self._writer.connection, _OPEN_DEADLINE)

    async def append(self, record: NewRecord) -> Appended:
        key, value, headers = record
        packed = pack_headers(headers)
        size = len(key) + len(value) + len(packed)
        if size > self._max_record_bytes:
            self._metrics.log_failures.labels("refused").inc()
            raise RecordRefusedError(f"the record has {size} bytes, over {self._max_record_bytes}")
        offset = await self._commits.add((key, packed, value), size)
        return Appended(Position(PARTITION, offset), "log")

    async def ping(self) -> None:
        try:
            await self._thread.run_within(self._writer.probe, self._deadline)
        except StopError as error:
            raise LogUnavailableError(str(error)) from error

    async def stop(self) -> None:
        await self._commits.drain(self._deadline)
        await self._thread.stop(self._writer.close, deadline=self._deadline)

    def _count(self, rows: Sequence[LogRow]) -> None:
        self._metrics.append_batch_size.observe(len(rows))

    def _count_failure(self, _error: Exception) -> None:
        self._metrics.log_failures.labels("unavailable").inc()


class SqliteReader:
    """Reads a SQLite log. Every reader is given partition 0: the caller needs a lease."""

    def __init__(self, path: Path, *, clock: Clock, poll_interval: float = 0.02) -> None:
        """``poll_interval``: seconds between two looks for news while a poll waits."""
        self._clock = clock
        self._poll_interval = poll_interval
        self._file = LogFile(path)
        self._thread = DatabaseThread("the event log's reader")
        self._assigned = False
        self._position: int | None = None

    @property
    def log_id(self) -> str:
        return self._file.uuid

    @property
    def exclusive(self) -> bool:
        return False

    @property
    def settled(self) -> bool:
        return self._assigned

    async def start(self) -> None:
        self._thread.start()
        await self._thread.run_within(self._file.open, _OPEN_DEADLINE)

    async def poll(self, *, max_records: int, wait: float) -> Poll:
        if not self._assigned:
            self._assigned = True
            return Poll(frozenset(), frozenset({PARTITION}), {})
        until = self._clock.monotonic() + wait
        while True:
            if self._position is not None:
                records = await self._read(self._position, max_records)
                if records:
                    self._position = records[-1].offset + 1
                    return Poll(frozenset(), frozenset(), {PARTITION: records})
            remaining = until - self._clock.monotonic()
            if remaining <= 0:
                return Poll(frozenset(), frozenset(), {})
            await self._clock.sleep(min(self._poll_interval, remaining))

    async def seek(self, partition: int, offset: int) -> None:
        self._check(partition)
        self._position = offset

    async def pause(self, partition: int) -> None:
        self._check(partition)
        self._position = None

    async def read_at(self, partition: int, offset: int) -> Record | None:
        self._check(partition)
        bounds = (await self.bounds())[PARTITION]
        if not bounds.start <= offset < bounds.end:
            return None
        return (await self._read(offset, 1))[0]

    async def bounds(self) -> Mapping[int, Bounds]:
        return {PARTITION: await self._thread.run_within(self._file.bounds, _READ_DEADLINE)}

    async def stop(self) -> None:
        self._assigned, self._position = False, None
        await self._thread.stop(self._file.close, deadline=_READ_DEADLINE)

    async def _read(self, offset: int, limit: int) -> list[Record]:
        return await self._thread.run_within(partial(self._file.fetch, offset, limit), _READ_DEADLINE)

    def _check(self, partition: int) -> None:
        if partition != PARTITION or not self._assigned:
            raise ValueError(f"partition {partition} is not assigned")


class SqliteLogAdmin:
    """Looks at a SQLite log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = LogFile(path)
        self._thread = DatabaseThread("the event log's onlooker")

    async def describe(self) -> LogInfo:
        if not self._path.exists():
            raise StopError(
                f"there is no event log at {self._path} yet; the receiver makes it when it starts"
            )
        self._thread.start()
        return await self._thread.run_within(self._describe, _READ_DEADLINE)

    async def close(self) -> None:
        await self._thread.stop(self._file.close, deadline=_READ_DEADLINE)

    def _describe(self) -> LogInfo:
        self._file.close()  # it may be another file by now, which is not this one's to judge
        self._file.open()
        return LogInfo(
            kind="sqlite",
            address=f"sqlite:///{self._path}",
            log_id=self._file.uuid,
            bounds={PARTITION: self._file.bounds()},
            details=self._file.details(),
        )
