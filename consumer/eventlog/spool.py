"""The spool: keeps records on this machine's disk while the log is away, and relays them when it is back.

One file for all processes of a machine. Its relay runs in one of them at a time.
"""

import asyncio
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from consumer.clock import Clock
from consumer.errors import BinmirrorError, RecordRefusedError
from consumer.eventlog.base import Appended, Producer
from consumer.eventlog.spool_file import WaitingRecord
from consumer.eventlog.spool_store import Spool
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.waiting import backoff

__all__ = ["Relay", "Spool"]


class Relay:
    """Brings a spool's records to the log when it answers: at least once, in order per partition.

    Every process may run one; a lock file, held by the kernel for as long as the process lives,
    lets one of them work.
    """

    def __init__(
        self,
        spool: Spool,
        producer: Producer,
        *,
        clock: Clock,
        metrics: Metrics,
        log: Logger,
        batch_records: int = 500,
        batch_bytes: int = 4 << 20,
        look_every: float = 0.05,
        first_pause: float = 0.2,
        longest_pause: float = 5.0,
        append_deadline: float = 15.0,
    ) -> None:
        """``producer`` is the log's own, never one that spools. ``append_deadline`` is a safeguard for it."""
        self._spool = spool
        self._producer = producer
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._batch_records = batch_records
        self._batch_bytes = batch_bytes
        self._look_every = look_every
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._append_deadline = append_deadline

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until ``stop`` is set; needs the spool started. Raises what nobody expected."""
        lock = _RelayLock(Path(f"{self._spool.path}.relay"))
        drains: dict[int, asyncio.Task[None]] = {}
        try:
            while not stop.is_set():
                if self._spool.partitions and self._may_work(lock):
                    for partition in self._spool.partitions - drains.keys():
                        drains[partition] = asyncio.create_task(
                            self._drain(partition), name=f"relay-{partition}"
                        )
                for partition in [number for number, task in drains.items() if task.done()]:
                    drains.pop(partition).result()
                await self._clock.sleep(self._look_every)
        finally:
            for task in drains.values():
                task.cancel()
            if drains:
                await asyncio.wait(drains.values())
            lock.release()

    def _may_work(self, lock: "_RelayLock") -> bool:
        if lock.held:
            return True
        if lock.acquire():
            self._log.info("relay_started", spool=str(self._spool.path), records=self._spool.pending())
        return lock.held

    async def _drain(self, partition: int) -> None:
        """Relay until nothing of ``partition`` waits."""
        failures = 0
        while partition in self._spool.partitions:
            try:
                # After a failure one record finds out whether the log is back.
                limit = 1 if failures else self._batch_records
                waiting = await self._spool.take(partition, limit=limit, max_bytes=self._batch_bytes)
                if not waiting:
                    return
                problem = await self._relay(partition, waiting)
            except BinmirrorError as error:
                problem = str(error)
            if problem is None:
                failures = 0
                continue
            pause = backoff(failures, first=self._first_pause, longest=self._longest_pause)
            failures += 1
            if failures & (failures - 1) == 0:  # the first, second, fourth, eighth … time
                self._log.warning("relay_waits", partition=partition, failures=failures, reason=problem)
            await self._clock.sleep(pause)

    async def _relay(self, partition: int, waiting: Sequence[WaitingRecord]) -> str | None:
        """Append and settle ``waiting``; why some of it is left, if so."""
        try:
            async with asyncio.timeout(self._append_deadline):
                answers = await asyncio.gather(
                    *(self._producer.append(one.record) for one in waiting), return_exceptions=True
                )
        except TimeoutError:
            return f"the producer gave no answer within {self._append_deadline:g} s"
        relayed: list[int] = []
        refused: dict[int, str] = {}
        problem = None
        for one, answer in zip(waiting, answers, strict=True):
            if isinstance(answer, Appended):
                relayed.append(one.id)
            elif isinstance(answer, RecordRefusedError):
                refused[one.id] = str(answer)
            elif isinstance(answer, BinmirrorError):
                problem = str(answer)
            else:
                raise answer
        if relayed or refused:
            await self._spool.settle(partition, relayed, refused)
            self._tell(partition, relayed, refused)
        return problem

    def _tell(self, partition: int, relayed: Sequence[int], refused: dict[int, str]) -> None:
        self._metrics.relayed.labels("relayed").inc(len(relayed))
        self._metrics.relayed.labels("set_aside").inc(len(refused))
        if relayed:
            self._log.info("relay_batch", partition=partition, records=len(relayed))
        for number, reason in refused.items():
            self._log.error("record_set_aside", partition=partition, waiting_id=number, reason=reason)


class _RelayLock:
    """A lock that ends with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Without waiting; False also when the disk does not let us."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
