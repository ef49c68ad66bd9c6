"""A mirror beside a fake Voucherify: a real event log, worker and projection, and reconcilers on them."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consumer.clock import SystemClock
from consumer.eventlog.sqlite import SqliteProducer, SqliteReader
from consumer.log import Logger, Output, create_log
from consumer.metrics import Metrics
from consumer.ops.own_records import own_record
from consumer.ops.reconcile import Reconciler
from consumer.ops.reconcile_findings import vanished
from consumer.ops.reconcile_report import Report
from consumer.ops.reconcile_work import Tools
from consumer.projection.control import SqlAudit
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from consumer.projection.reconcile_base import Held, Key, Mode, Run
from consumer.projection.reconcile_store import SqlReconcileStore
from consumer.projection.store import SqlProjectionWriter
from consumer.types import NewRecord
from consumer.voucherify.client import VoucherifyClient
from consumer.worker.interpret import Interpreter
from consumer.worker.loop import Worker
from schemas.events import Delivery
from schemas.ids import record_key
from schemas.own_events import EntryObserved, EntryPurged
from schemas.reading import read
from schemas.records import webhook_headers
from schemas.samples import campaign_deleted, voucher_deleted
from schemas.times import Micros, format_time, parse_time
from tests.fake_voucherify.app import APP_ID, APP_TOKEN, FakeVoucherify
from tests.fake_voucherify.bin import FakeEntry, entry_id
from tests.fake_voucherify.server import Slot, serving
from tests.manual_clock import ManualClock

PROJECT = "shop"
PATIENCE = 20.0
LONG_AGO = parse_time("2024-06-01T08:00:00Z")


def entry(
    number: int, resource_type: str = "voucher", *, name: str = "", at: Micros | None = None
) -> FakeEntry:
    """An entry of Voucherify's bin; ``number`` is its place, and names its resource."""
    moment = LONG_AGO + number * 1_000_000 if at is None else at
    resource_id = f"{resource_type}_{number}"
    return FakeEntry(
        entry_id(moment, number), format_time(moment), resource_id, resource_type, name or f"CODE-{number}"
    )


@dataclass
class Mirror:
    """Everything open; ``slot.fake`` may be replaced."""

    slot: Slot
    url: str
    store: SqlReconcileStore
    producer: SqliteProducer
    reader: SqlProjectionReader
    clock: SystemClock
    logged: io.BytesIO
    log: Logger
    metrics: Metrics = field(default_factory=Metrics)
    appended: int = 0

    @property
    def fake(self) -> FakeVoucherify:
        return self.slot.fake

    @property
    def audit(self) -> SqlAudit:
        return SqlAudit(self.store)

    def client(self, **options: Any) -> VoucherifyClient:
        """Waits pass at once."""
        given = {"clock": ManualClock(), "log": self.log, "strict_order": False, **options}
        return VoucherifyClient(self.url, APP_ID, APP_TOKEN, **given)

    def reconciler(
        self, client: VoucherifyClient, project: str = PROJECT, *, lease: float = 30.0, **tools: Any
    ) -> Reconciler:
        given: dict[str, Any] = {"clock": self.clock, "audit": self.audit, **tools}
        return Reconciler(
            project,
            Tools(
                client=client,
                store=self.store,
                producer=self.producer,
                log=self.log,
                metrics=self.metrics,
                **given,
            ),
            lease_seconds=lease,
        )

    async def reconcile(
        self,
        mode: Mode = "full",
        *,
        project: str = PROJECT,
        force: bool = False,
        owner: str = "me",
        **tools: Any,
    ) -> Report:
        async with self.client() as client:
            report = await self.reconciler(client, project, **tools).run(mode, owner=owner, force=force)
        # On a machine so busy that the worker stood still, what was found does not show yet.
        assert "stands still" not in (report.words or ""), report.words
        return report

    async def held(self, *entries: FakeEntry, project: str = PROJECT) -> list[Held | None]:
        """What the mirror has of the resources of ``entries``."""
        found: dict[Key, Held] = {}
        for one in entries:
            found |= await self.store.held(project, {one.resource_type: [one.resource_id]})
        return [found.get((one.resource_type, one.resource_id)) for one in entries]

    async def states(self, *entries: FakeEntry, project: str = PROJECT) -> list[str | None]:
        return [None if one is None else one.state for one in await self.held(*entries, project=project)]

    # What was there before

    async def say(self, *records: NewRecord) -> None:
        """Append records and wait until the worker has applied them."""
        for one in records:
            position = (await self.producer.append(one)).position
            assert position is not None
            self.appended = position.offset + 1
        await self.applied()

    async def applied(self) -> None:
        async def done() -> bool:
            return (await self.store.positions()).get(0, 0) >= self.appended

        await eventually(done)

    async def deleted(self, one: FakeEntry, *, project: str = PROJECT, at: Micros | None = None) -> None:
        """A webhook tells that the resource was deleted."""
        await self.say(webhook(one, project, parse_time(one.created_at) if at is None else at))


def webhook(
    one: FakeEntry, project: str, occurred_at: Micros, received_at: Micros | None = None
) -> NewRecord:
    """The record of a delivery."""
    event_id = f"ev_{project}_{one.resource_id}"
    if one.resource_type == "campaign":
        body = campaign_deleted(
            name=one.resource_name, campaign_id=one.resource_id, event_id=event_id, occurred_at=occurred_at
        )
    else:
        body = voucher_deleted(
            code=one.resource_name, voucher_id=one.resource_id, event_id=event_id, occurred_at=occurred_at
        )
    event = read(Delivery(project, "voucherify", None, received_at or occurred_at, body))
    assert event.failure is None
    return NewRecord(
        record_key(project, event.resource_type, event.resource_id, event.event_id),
        body,
        webhook_headers(event, event_name=None, signature=b""),
    )


def told(state: str, one: FakeEntry, project: str, at: Micros) -> NewRecord:
    """The record of an own event of an earlier time."""
    run_id = f"seed-{at}"
    if state == "vanished":
        run = Run(project, "full", run_id, at, "reading", None, {})
        return vanished((one.resource_type, one.resource_id), run, at)
    about: dict[str, Any] = {
        "project": project,
        "run_id": run_id,
        "evidence_at": at,
        "resource_type": one.resource_type,
        "resource_id": one.resource_id,
    }
    if state == "purged":
        return own_record(EntryPurged(**about), at).record
    moment = parse_time(one.created_at)
    fields: dict[str, Any] = {"entry_id": one.id, "created_at": moment, "resource_name": one.resource_name}
    return own_record(EntryObserved(**about, **fields), at).record


@asynccontextmanager
async def open_mirror(address: str, folder: Path) -> AsyncIterator[Mirror]:
    """A mirror whose worker runs; ``address`` is its projection's."""
    clock, metrics = SystemClock(), Metrics()
    stream = io.BytesIO()
    output = Output(stream)
    log = create_log(output, level="info", console=False)
    producer = SqliteProducer(folder / "log.db", clock=clock, metrics=metrics)
    await producer.start()
    store = SqlReconcileStore(address)
    await store.start()
    reader = SqlProjectionReader(ReadPool(address))
    await reader.start()
    stop = asyncio.Event()
    interpret = Interpreter({})
    worker = Worker(
        SqliteReader(folder / "log.db", clock=clock),
        SqlProjectionWriter(address, interpret=interpret, clock=clock),
        interpret,
        owner="worker",
        lease=10,
        clock=clock,
        metrics=metrics,
        log=create_log(Output(io.BytesIO()), level="critical", console=False),
    )
    running = asyncio.create_task(worker.run(stop))
    slot = Slot(FakeVoucherify())
    try:
        with serving(slot) as url:
            yield Mirror(slot, url, store, producer, reader, clock, stream, log, metrics)
    finally:
        stop.set()
        await running
        await reader.stop()
        await store.stop()
        await producer.stop()
        output.close()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not await condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.005)
