"""A log and a worker in this process, on a projection of either kind: what operators' commands work on."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from consumer.clock import SystemClock
from consumer.eventlog.sqlite import SqliteProducer, SqliteReader
from consumer.log import Logger, Output, create_log
from consumer.metrics import Metrics
from consumer.projection.base import EventRow, Outcome
from consumer.projection.connections import OwnConnection
from consumer.projection.control import SqlAudit, SqlWorkerControl
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from consumer.projection.store import SqlProjectionWriter
from consumer.types import NewRecord, Position, Project
from consumer.worker.interpret import HANDLER_ERROR, Interpreter, failed
from consumer.worker.limits import HandlerLimit
from consumer.worker.loop import Worker
from schemas.events import Delivery
from schemas.ids import record_key
from schemas.reading import read
from schemas.records import webhook_headers
from schemas.samples import voucher_deleted

PATIENCE: Final = 30.0


class Handlers(Interpreter):
    """Today's code; with ``broken``, a deployment whose handlers raise for every voucher."""

    def __init__(self, projects: Mapping[str, Project] | None = None, *, broken: bool = False) -> None:
        super().__init__(projects or {})
        self.broken = broken

    def __call__(self, delivery: Delivery, offset: int) -> Outcome:
        outcome = super().__call__(delivery, offset)
        if not self.broken or outcome.event.source != "voucherify" or outcome.status != "applied":
            return outcome
        event = failed(outcome.event, HANDLER_ERROR, "the handler raised ValueError")
        return Outcome(event, "failed", (), delivery.body, offset)


class Mirror:
    """Everything that is needed to mirror a log; ``async with`` starts it and the worker."""

    def __init__(
        self,
        folder: Path,
        address: str,
        *,
        handlers: Handlers | None = None,
        limit: HandlerLimit | None = None,
        works: bool = True,
        batch_size: int = 2000,
    ) -> None:
        self.clock = SystemClock()
        self.metrics = Metrics()
        self._output = Output(BytesIO())
        self.log: Logger = create_log(self._output, level="error", console=False)
        self.handlers = handlers or Handlers()
        self._limit = limit
        self._works = works
        self._batch_size = batch_size
        self._log_file = folder / "log.db"
        self._address = address
        self.producer = SqliteProducer(
            self._log_file, clock=self.clock, metrics=self.metrics, deadline=PATIENCE
        )
        self.reader = SqlProjectionReader(ReadPool(address))
        self._connection = OwnConnection(address)
        self.audit = SqlAudit(self._connection)
        self.control = SqlWorkerControl(self._connection)
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.producer.start()
        await self.reader.start()
        await self._connection.start()
        if self._works:
            self.work()
        return self

    def work(self) -> None:
        """Start the worker."""
        writer = SqlProjectionWriter(self._address, interpret=self.handlers, clock=self.clock)
        self.worker = Worker(
            SqliteReader(self._log_file, clock=self.clock),
            writer,
            self.handlers,
            owner="host/1",
            lease=10.0,
            clock=self.clock,
            metrics=self.metrics,
            log=self.log,
            batch_size=self._batch_size,
            limit=self._limit,
            orders=SqlWorkerControl(writer),
        )
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self.worker.run(self._stop))

    async def rest(self) -> None:
        """Stop the worker."""
        self._stop.set()
        if self._task is not None:
            await self._task

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.rest()
        await self._connection.stop()
        await self.reader.stop()
        await self.producer.stop()
        self._output.close()

    async def deliver(self, body: bytes, *, project: str = "p") -> Position:
        """Append a webhook, as the receiver does."""
        received_at = self.clock.now()
        event = read(Delivery(project, "voucherify", None, received_at, body))
        key = record_key(project, event.resource_type, event.resource_id, event.event_id)
        headers = webhook_headers(event, event_name=None, signature=b"")
        appended = await self.producer.append(NewRecord(key, body, headers))
        assert appended.position is not None
        return appended.position

    async def delete_vouchers(self, count: int, *, start: int = 0) -> list[str]:
        """Deliver so many voucher.deleted; their event ids."""
        numbers = range(start, start + count)
        await asyncio.gather(
            *(self.deliver(voucher_deleted(voucher_id=f"v_{n}", event_id=f"evvou_{n}")) for n in numbers)
        )
        return [f"evvou_{n}" for n in numbers]

    async def statuses(self) -> dict[str, int]:
        """Events by status."""
        return {status: number for (_, status), number in (await self.reader.info()).events.items()}

    async def event(self, event_id: str) -> EventRow:
        row = await self.reader.event(None, event_id)
        assert row is not None
        return row


async def eventually(condition: Callable[[], Awaitable[bool]], *, patience: float = PATIENCE) -> None:
    """Return once ``condition`` holds; fail after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not await condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)
