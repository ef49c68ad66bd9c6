"""A producer that always finds a durable place: the log, or the spool while the log is away."""

import asyncio
from collections.abc import Callable
from typing import Final

from consumer.clock import Clock
from consumer.errors import LogUnavailableError, NotDurableError, RecordRefusedError
from consumer.eventlog.base import Appended, Producer
from consumer.eventlog.spool import Spool
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.types import NewRecord

_GRACE: Final = 0.15
"""Seconds beyond the deadline in which the primary may still answer by itself."""
_SLICE: Final = 0.05
"""Appends begun within so many seconds share one timer."""
_SPOOLED: Final = Appended(None, "spool")


class SpoolingProducer:
    """The log first; the spool when the log fails, and straight away while it is known to be away.

    A partition's circuit opens with its first failure, and when the spool holds records of it, whoever
    put them there. It closes when the relay has brought them all to the log, in whichever process it
    runs. An answer takes no longer than ``deadline``, some grace and one write to the spool.
    """

    def __init__(
        self,
        primary: Producer,
        spool: Spool,
        *,
        partition_of: Callable[[bytes], int],
        deadline: float,
        clock: Clock,
        metrics: Metrics,
        log: Logger,
    ) -> None:
        """``deadline``: the primary's own, in seconds; it is not trusted to keep it.

        ``partition_of``: where the primary puts a key, by its best knowledge.
        """
        self._primary = primary
        self._spool = spool
        self._partition_of = partition_of
        self._deadline = deadline
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._failed: dict[int, str] = {}
        """Partitions that failed and whose records the spool did not take (yet), with the reason."""
        self._open: frozenset[int] = frozenset()
        self._spool_works = True
        self._guard = _Guard()
        self._guard_until = 0.0
        spool.watch(self._show_circuits)

    async def start(self) -> None:
        """Start both; it is enough when one of them can be used.

        Raises:
            NotDurableError: neither can be.
            StopError: one of them is not what it should be.

        """
        problem = None
        try:
            await self._spool.start()
        except NotDurableError as error:
            problem = error
            self._spool_failed(error)
        try:
            await self._primary.start()
        except LogUnavailableError as error:
            if problem is not None:
                raise NotDurableError(f"{error}; {problem}") from error
            self._log.warning("log_unavailable", reason=str(error))

    async def append(self, record: NewRecord) -> Appended:
        if self._open:
            partition = self._partition_of(record.key)
            if partition in self._open:
                return await self._append_while_open(record, partition)
        try:
            return await self._append_to_primary(record)
        except LogUnavailableError as error:
            partition, reason = self._partition_of(record.key), str(error)
        except RecordRefusedError as error:
            return await self._set_aside(record, error)
        self._failed.setdefault(partition, reason)
        self._show_circuits()
        return await self._append_to_spool(record, partition, reason)

    async def ping(self) -> None:
        try:
            await self._spool.ping()
        except NotDurableError as error:
            problem = str(error)
        else:
            return
        try:
            async with asyncio.timeout(self._deadline + _GRACE):
                await self._primary.ping()
        except (LogUnavailableError, TimeoutError) as error:
            raise NotDurableError(f"{str(error) or 'the log gives no answer'}; {problem}") from error

    async def stop(self) -> None:
        try:
            async with asyncio.timeout(2 * self._deadline + _GRACE):
                await self._primary.stop()
        except TimeoutError:
            self._log.warning("log_unavailable", reason="it did not stop in time")
        finally:
            await self._spool.stop()

    async def _append_to_primary(self, record: NewRecord) -> Appended:
        """Raises LogUnavailableError in time, even if the primary does not."""
        task = asyncio.current_task()
        now = self._clock.monotonic()
        if now >= self._guard_until:
            # One timer for all appends of a slice of time: a timer for each would cost more than the append.
            self._guard = _Guard()
            self._guard_until = now + _SLICE
            asyncio.get_running_loop().call_later(self._deadline + _GRACE + _SLICE, self._guard.expire)
        guard = self._guard
        if task is None:
            raise AssertionError("append runs in a task")
        guard.waiting[task] = cancelling = task.cancelling()
        try:
            return await self._primary.append(record)
        except asyncio.CancelledError:
            if guard.expired and task.uncancel() <= cancelling:
                raise LogUnavailableError(f"no answer within {self._deadline:g} s") from None
            raise
        finally:
            del guard.waiting[task]

    async def _append_while_open(self, record: NewRecord, partition: int) -> Appended:
        """The spool first. Should it fail, the log may be back by now, or the circuit open in vain."""
        try:
            return await self._append_to_spool(record, partition, "circuit open")
        except NotDurableError as error:
            problem = error
        try:
            answer = await self._append_to_primary(record)
        except (LogUnavailableError, RecordRefusedError) as error:
            raise NotDurableError(f"{error}; {problem}") from error
        self._failed.pop(partition, None)
        self._show_circuits()
        return answer

    async def _append_to_spool(self, record: NewRecord, partition: int, reason: str) -> Appended:
        try:
            await self._spool.append(record, partition=partition, reason=reason)
        except NotDurableError as error:
            self._spool_failed(error)
            raise
        self._spool_works = True
        # From here on the spool's content keeps the circuit open, in every process of this machine.
        if self._failed.pop(partition, None) is not None:
            self._show_circuits()
        return _SPOOLED

    async def _set_aside(self, record: NewRecord, error: RecordRefusedError) -> Appended:
        partition, reason = self._partition_of(record.key), str(error)
        try:
            await self._spool.append(record, partition=partition, reason=reason, shelf="set_aside")
        except NotDurableError as problem:
            self._spool_failed(problem)
            raise
        self._log.error("record_set_aside", partition=partition, reason=reason)
        return _SPOOLED

    def _spool_failed(self, error: NotDurableError) -> None:
        if self._spool_works:
            self._spool_works = False
            self._log.error("spool_unavailable", reason=str(error))

    def _show_circuits(self) -> None:
        before, self._open = self._open, self._spool.partitions.union(self._failed)
        for partition in self._open - before:
            reason = self._failed.get(partition, "the spool holds records")
            self._log.warning("circuit_opened", partition=partition, reason=reason)
            self._metrics.circuit_open.labels(str(partition)).set(1)
        for partition in before - self._open:
            self._log.info("circuit_closed", partition=partition)
            self._metrics.circuit_open.labels(str(partition)).set(0)


class _Guard:
    """Appends that have to end by the same moment."""

    __slots__ = ("expired", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[asyncio.Task[object], int] = {}
        """The tasks that wait, and how often each was being cancelled already."""
        self.expired = False

    def expire(self) -> None:
        self.expired = True
        for task in self.waiting:
            task.cancel()
