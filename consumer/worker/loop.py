"""The worker: polls the log, interprets records, commits batches; one owner per partition by epoch.

While a full batch is being committed the next one is read and interpreted, so that neither side waits for
the other. One commit at most is under way, and whatever else is done about partitions waits for it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from consumer.clock import Clock
from consumer.errors import (
    FencedError,
    HandlerLimitError,
    StopError,
    TransientError,
)
from consumer.eventlog.base import Poll, Reader
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.projection.base import Gathered, Outcome, ProjectionWriter
from consumer.projection.control_base import WorkerOrders
from consumer.types import Health, Record
from consumer.waiting import stopped_within
from consumer.worker.commit import Committer, Portion, UnderWay
from consumer.worker.interpret import Interpreter
from consumer.worker.limits import HandlerLimit
from consumer.worker.orders import Orders
from consumer.worker.partition import Owned, Partitions, Pending, verify_log
from consumer.worker.progress import Progress

_TICK: Final = 1.0
"""Seconds between lease renewals, lag readings and looks at the log's end."""


class Worker:
    """Mirrors the log into the projection until told to stop.

    After a transient failure a partition waits, is acquired again and goes on where its checkpoint stands;
    nothing is skipped. A ``StopError`` ends the work, not the process: ``health`` says why, and a person
    decides. After too many handler exceptions that person's word, left in ``orders``, lets it go on.
    """

    def __init__(
        self,
        reader: Reader,
        writer: ProjectionWriter,
        interpret: Interpreter,
        *,
        owner: str,
        lease: float,
        clock: Clock,
        metrics: Metrics,
        log: Logger,
        batch_size: int = 2000,
        wait: float = 0.25,
        limit: HandlerLimit | None = None,
        orders: WorkerOrders | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._interpret = interpret
        self._owner = owner
        self._lease = lease
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._batch_size = batch_size
        self._wait = wait
        self._limit = limit or HandlerLimit()
        self._orders = Orders(orders, worker=owner, log=log)
        self._committer = Committer(writer, clock=clock, metrics=metrics, log=log)
        self._owned: dict[int, Owned] = {}
        self._pending: dict[int, Pending] = {}
        self._under_way: UnderWay | None = None
        self._partitions = Partitions(writer)
        self._next_tick = 0.0
        self._progress = Progress(clock=clock, metrics=metrics, log=log)
        # Interpreting is CPU work: on a thread of its own it leaves the event loop to the receiver.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="interpret")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; after a StopError wait for it, not ready. Then let go of everything."""
        try:
            while not stop.is_set():
                await self._work(stop)
        finally:
            await self._leave()
            await self._orders.leave()
            await self._writer.stop()
            self._thread.shutdown(wait=False)

    async def _work(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, or until it may go on after too many handler exceptions."""
        try:
            await self._until(stop, self._writer.start)
            await self._until(stop, self._reader.start)
            while not stop.is_set():
                await self._until(stop, self._step)
            await self._settle()
        except StopError as error:
            self._progress.stopped = str(error)
            self._metrics.worker_stopped.set(1)
            self._log.error("worker_stopped", error=type(error).__name__, reason=str(error))
            await self._leave()
            if not isinstance(error, HandlerLimitError):
                await stop.wait()
            elif await self._orders.until_resumed(str(error), stop):
                self._limit.forgive()
                self._progress.stopped = None
                self._metrics.worker_stopped.set(0)
                self._log.info("worker_resumed", reason="after too many handler exceptions")

    async def health(self) -> Health:
        """Ready while it makes progress, or stands by for another worker."""
        positions = {partition: owned.next_offset for partition, owned in self._owned.items()}
        return self._progress.health(positions)

    async def _until(self, stop: asyncio.Event, action: Callable[[], Awaitable[None]]) -> None:
        """Do ``action``; while the log or the database is away, wait and do it again."""
        backoff = Pending(due=0.0)
        while not stop.is_set():
            try:
                await action()
            except TransientError as error:
                self._progress.failed(error)
                backoff.postpone(now := self._clock.monotonic())
                await stopped_within(stop, backoff.due - now)
            else:
                return

    async def _step(self) -> None:
        wait = 0.02 if any(not pending.standby for pending in self._pending.values()) else self._wait
        poll = await self._reader.poll(max_records=self._batch_size, wait=wait)
        if poll.revoked or poll.assigned:
            await self._settle()
            self._reassign(poll)
        for partition, records in poll.records.items():
            if partition in self._owned:
                await self._apply(partition, records)
        now = self._clock.monotonic()
        due = [partition for partition, pending in self._pending.items() if pending.due <= now]
        # Less than a full batch: what comes during the commit makes the next one larger.
        if due or now >= self._next_tick or sum(map(len, poll.records.values())) < self._batch_size:
            await self._settle()
        for partition in due:
            if partition in self._pending:
                await self._guarded(partition, self._acquire(partition))
        if now >= self._next_tick:
            self._next_tick = now + _TICK
            if await self._orders.changed():
                await self._pause_or_resume()
            await self._tick()

    async def _pause_or_resume(self) -> None:
        """Stay in the group, and read nothing; or go on where the checkpoints stand."""
        self._progress.paused = self._orders.paused
        if self._orders.paused is None:
            self._log.info("worker_resumed", reason="told to go on")
        else:
            self._log.warning("worker_paused", reason=self._orders.paused)
        for partition, owned in self._owned.items():
            if self._orders.paused is not None:
                await self._reader.pause(partition)
            else:
                await self._reader.seek(partition, owned.next_offset)
        self._progress.moved()

    def _reassign(self, poll: Poll) -> None:
        for partition in poll.revoked:
            self._owned.pop(partition, None)
            self._pending.pop(partition, None)
            self._progress.lag.pop(partition, None)
            self._log.info("revoked", partition=partition)
        for partition in poll.assigned:
            self._pending[partition] = Pending(due=0.0)

    async def _guarded(self, partition: int, action: Awaitable[None]) -> None:
        """Await ``action``; if it fails for now, acquire the partition anew later.

        Only the checkpoint knows whether a commit whose answer was lost took place.
        """
        try:
            await action
        except (TransientError, FencedError) as error:
            self._progress.failed(error)
            self._owned.pop(partition, None)
            await self._reader.pause(partition)
            pending = self._pending.setdefault(partition, Pending(due=0.0))
            pending.postpone(self._clock.monotonic())

    async def _acquire(self, partition: int) -> None:
        log_id, lease = self._reader.log_id, None if self._reader.exclusive else self._lease
        checkpoint = await self._writer.acquire(log_id, partition, owner=self._owner, lease=lease)
        pending = self._pending[partition]
        if checkpoint is None:
            if not pending.standby:
                self._log.info("standby", partition=partition)
            pending.standby = True
            pending.due = self._clock.monotonic() + self._lease / 3
            self._progress.standby = True
            self._progress.moved()
            return
        bounds = (await self._reader.bounds())[partition]
        await verify_log(self._reader, partition, checkpoint, bounds, attempts=pending.attempts)
        if self._orders.paused is None:
            await self._reader.seek(partition, checkpoint.next_offset)
        del self._pending[partition]
        self._progress.standby = False
        self._progress.moved()
        self._owned[partition] = Owned(checkpoint.epoch, checkpoint.next_offset)
        self._next_tick = 0.0
        self._log.info(
            "assigned",
            partition=partition,
            epoch=checkpoint.epoch,
            next_offset=checkpoint.next_offset,
            end=bounds.end,
        )

    async def _apply(self, partition: int, records: Sequence[Record]) -> None:
        """Interpret ``records``, wait for the commit under way, begin the next."""
        started = self._clock.monotonic()
        outcomes, gathered = await asyncio.get_running_loop().run_in_executor(
            self._thread, self._interpreted, partition, records
        )
        await self._settle()
        owned = self._owned.get(partition)
        if owned is None:
            return  # the batch before this one failed, and both come again
        raised = self._limit.check(partition, outcomes)
        if raised:
            self._metrics.handler_exceptions.inc(raised)
            self._log.error("handler_exception", partition=partition, events=raised)
        work = self._commit(partition, owned, started, records, outcomes, gathered)
        self._under_way = UnderWay(partition, asyncio.create_task(work, name="worker-commit"))

    def _interpreted(
        self, partition: int, records: Sequence[Record]
    ) -> tuple[Sequence[Outcome], Gathered | None]:
        outcomes = self._interpret.records(records)
        return outcomes, self._writer.gather(partition, outcomes)

    async def _commit(
        self,
        partition: int,
        owned: Owned,
        started: float,
        records: Sequence[Record],
        outcomes: Sequence[Outcome],
        gathered: Gathered | None,
    ) -> None:
        portion = Portion(records, outcomes, gathered)
        await self._committer.commit(self._reader.log_id, partition, owned, portion)
        self._progress.moved()
        self._metrics.batch_seconds.observe(self._clock.monotonic() - started)

    async def _settle(self) -> None:
        """Wait for the commit that is under way. Raises StopError."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            await self._guarded(*under_way)

    async def _tick(self) -> None:
        """Renew leases, measure lag, note which partitions are at the end."""
        self._progress.spare = self._reader.settled and not (self._owned or self._pending)
        if self._progress.spare:
            self._progress.moved()
        if not self._owned:
            return
        looked_at = self._clock.monotonic()
        bounds = await self._reader.bounds()
        await self._partitions.tell(self._reader.log_id, bounds)
        lease = None if self._reader.exclusive else self._lease
        for partition, owned in list(self._owned.items()):
            lag = max(0, bounds[partition].end - owned.next_offset)
            self._progress.lag[partition] = lag
            self._metrics.lag.labels(str(partition)).set(lag)
            if lag == 0:
                self._progress.moved()
            seen = owned.caught_up_as_of(bounds[partition].end, looked_at)
            renewal = self._writer.renew(
                self._reader.log_id, partition, epoch=owned.epoch, lease=lease, end_seen=seen
            )
            await self._guarded(partition, renewal)

    async def _leave(self) -> None:
        """Release the leases and leave the group; failing to is harmless: both run out by themselves."""
        with contextlib.suppress(StopError):  # it is ending anyway
            await self._settle()
        for partition, owned in self._owned.items():
            try:
                await self._writer.release(self._reader.log_id, partition, epoch=owned.epoch)
            except (TransientError, FencedError) as error:
                self._progress.failed(error)
        self._owned.clear()
        self._pending.clear()
        await self._reader.stop()
