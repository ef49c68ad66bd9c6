"""One process's hold on a spool's file: records kept by group commit, and what is known of the others'."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from consumer.clock import Clock, SystemClock
from consumer.errors import LogUnavailableError, NotDurableError, StopError
from consumer.eventlog.database_thread import DatabaseThread
from consumer.eventlog.group_commit import GroupCommit
from consumer.eventlog.packing import pack_headers
from consumer.eventlog.spool_file import (
    EMPTY,
    Shelf,
    SpoolCounts,
    SpoolFile,
    SpoolRow,
    WaitingRecord,
    storable,
)
from consumer.metrics import Metrics
from consumer.types import NewRecord

_JOB_SECONDS: Final = 10.0
"""What the relay's own work on the file may take; nobody waits for its answer."""


class Spool:
    """One process's hold on a spool's file. Knows what other processes put there after ``look_every``."""

    def __init__(
        self,
        path: Path,
        *,
        metrics: Metrics,
        clock: Clock | None = None,
        deadline: float = 0.7,
        look_every: float = 0.1,
        max_waiting: int = 20_000,
    ) -> None:
        """``deadline``: seconds within which an append is answered; ``max_waiting``: records in memory."""
        self.path = path
        self.partitions: frozenset[int] = frozenset()
        """Partitions that have records waiting."""
        self._counts = EMPTY
        self._metrics = metrics
        self._clock = clock or SystemClock()
        self._deadline = deadline
        self._look_every = look_every
        self._file = SpoolFile(path, busy=0.8 * deadline, clock=self._clock)
        self._thread = DatabaseThread("the spool")
        self._next_look: asyncio.TimerHandle | None = None
        self._watchers: list[Callable[[], None]] = []
        self._commits = GroupCommit[SpoolRow](
            self._thread,
            self._file.keep,
            after=self._file.tidy,
            written=self._kept,
            failed=self._not_kept,
            clock=self._clock,
            deadline=deadline,
            max_rows=max_waiting,
            max_bytes=64 << 20,
        )

    def pending(self) -> int:
        """Records waiting, as of the last look."""
        return self._counts.pending

    def set_aside(self) -> int:
        """Records that the log refused for good, as of the last look."""
        return self._counts.set_aside

    def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` on the event loop whenever ``partitions`` has changed."""
        self._watchers.append(changed)

    async def start(self) -> None:
        """Open the file, made when there is none. Idempotent.

        Raises:
            NotDurableError: it cannot be used now; it is tried again with every append.
            StopError: another kind of file lies there.

        """
        if self._thread.running:
            return
        self._thread.start()
        try:
            self._show(await self._thread.run_within(self._file.counts, _JOB_SECONDS))
        except LogUnavailableError as error:
            self._look()
            raise NotDurableError(str(error)) from error
        self._look()

    async def append(
        self, record: NewRecord, *, partition: int, reason: str, shelf: Shelf = "waiting"
    ) -> None:
        """Return once ``record`` is on this machine's disk: waiting for the log, or set aside.

        Raises:
            NotDurableError: it is not, or not in time; it may be all the same.

        """
        key, value, headers = record
        packed = pack_headers(headers)
        row = SpoolRow(shelf, partition, self._clock.now(), storable(reason), key, packed, value)
        try:
            await self._commits.add(row, len(key) + len(value) + len(packed))
        except (LogUnavailableError, StopError) as error:
            raise NotDurableError(str(error)) from error

    async def take(self, partition: int, *, limit: int, max_bytes: int) -> list[WaitingRecord]:
        """The longest waiting records of ``partition``, which stay until settled.

        Raises:
            LogUnavailableError: the file does not answer.

        """
        return await self._thread.run_within(
            partial(self._file.take, partition, limit, max_bytes), _JOB_SECONDS
        )

    async def settle(self, partition: int, relayed: Sequence[int], refused: dict[int, str]) -> None:
        """Drop what the log has, set aside what it refuses (id → reason). Raises LogUnavailableError."""
        job = partial(self._file.settle, partition, relayed, refused)
        try:
            await self._thread.run_within(job, _JOB_SECONDS)
        finally:
            self._look_once()

    async def ping(self) -> None:
        """Find out whether an append would work. Raises NotDurableError."""
        try:
            await self._thread.run_within(self._file.probe, self._deadline)
        except (LogUnavailableError, StopError) as error:
            raise NotDurableError(str(error)) from error

    async def stop(self) -> None:
        """Finish what was accepted, then let go of the file. Bounded in time; idempotent."""
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        await self._commits.drain(self._deadline)
        await self._thread.stop(self._file.close, deadline=2 * self._deadline)

    def _look(self) -> None:
        """Look now and then: other processes and their relay change the file too."""
        if self._thread.running:
            self._next_look = asyncio.get_running_loop().call_later(self._look_every, self._look)
            self._look_once()

    def _look_once(self) -> None:
        self._thread.post(self._file.counts, self._show, self._not_seen)

    def _not_seen(self, _error: Exception) -> None:
        """What was seen before holds on; an append finds out whether the file can be used."""

    def _show(self, counts: SpoolCounts) -> None:
        self._counts = counts
        self._metrics.spool_records.set(self.pending())
        self._metrics.spool_set_aside.set(counts.set_aside)
        partitions = frozenset(counts.waiting)
        if partitions != self.partitions:
            self.partitions = partitions
            for changed in self._watchers:
                changed()

    def _kept(self, rows: Sequence[SpoolRow]) -> None:
        waiting = dict(self._counts.waiting)
        for row in rows:
            if row.shelf == "waiting":
                waiting[row.partition] = waiting.get(row.partition, 0) + 1
        aside = sum(row.shelf == "set_aside" for row in rows)
        self._show(SpoolCounts(waiting, self._counts.set_aside + aside))

    def _not_kept(self, _error: Exception) -> None:
        """Those who wait for the append are told, and they say so."""
