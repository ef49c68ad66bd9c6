"""Redriving and discarding, from the operation to what the worker makes of it, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.errors import DataRejectedError, LogUnavailableError
from consumer.ops.failed_events import FailedEvents, Report, Selection
from consumer.projection.base import EventQuery
from consumer.projection.connections import OwnConnection
from consumer.projection.event_finder import SqlEventFinder
from consumer.worker.limits import HandlerLimit
from schemas.samples import voucher_deleted
from schemas.trash_bin import BinQuery
from tests.manual_clock import ManualClock
from tests.unit.webkit import FailingProducer
from tests.worker_kit import Handlers, Mirror, eventually

ALL_FAILED = Selection(EventQuery(status="failed"))


@pytest.fixture
async def mirror(address: str, tmp_path: Path) -> AsyncIterator[Mirror]:
    """A mirror whose handlers are broken, with three failed events."""
    handlers = Handlers(broken=True)
    async with Mirror(tmp_path, address, handlers=handlers, limit=HandlerLimit(consecutive=10_000)) as made:
        await made.delete_vouchers(3)
        await eventually(lambda: has(made, {"failed": 3}))
        yield made


@pytest.fixture
async def finder(address: str) -> AsyncIterator[SqlEventFinder]:
    """What operators ask with."""
    connection = OwnConnection(address)
    yield SqlEventFinder(connection)
    await connection.stop()


async def has(mirror: Mirror, statuses: dict[str, int]) -> bool:
    return await mirror.statuses() == statuses


def operation(mirror: Mirror, finder: SqlEventFinder, *, standstill: float = 15.0) -> FailedEvents:
    return FailedEvents(
        reader=mirror.reader,
        finder=finder,
        producer=mirror.producer,
        audit=mirror.audit,
        clock=mirror.clock,
        standstill=standstill,
    )


async def in_bin(mirror: Mirror) -> list[str]:
    page = await mirror.reader.list_bin("p", BinQuery(limit=100))
    return sorted(entry.key.resource_id for entry in page.entries)


async def test_redrive_after_the_handler_was_mended(mirror: Mirror, finder: SqlEventFinder) -> None:
    """All failed events are applied; the report and the audit say so, and who did it."""
    mirror.handlers.broken = False
    seen: list[int] = []
    report = await operation(mirror, finder).decide(
        "redrive", ALL_FAILED, who="ann@host", reason="mended", watch=lambda so_far: seen.append(so_far.told)
    )
    assert report.as_dict() == {
        "action": "redrive",
        "run_id": report.run_id,
        "eligible": 3,
        "told": 3,
        "left_alone": 0,
        "unknown": [],
        "became": {"applied": 3},
        "pending": 0,
    }
    assert report.complete
    assert seen == [3, 3]
    assert await in_bin(mirror) == ["v_0", "v_1", "v_2"]
    (line,) = await mirror.audit.lines()
    assert (line.audit_id, line.who, line.action) == (report.run_id, "ann@host", "events.redrive")
    assert (line.filters, line.reason) == ({"status": "failed"}, "mended")
    assert (line.result, line.counts) == ("done", {"eligible": 3, "told": 3, "applied": 3})


async def test_redrive_of_what_still_fails(mirror: Mirror, finder: SqlEventFinder) -> None:
    """Events that fail again are counted as such, and never stop the worker."""
    report = await operation(mirror, finder).decide("redrive", ALL_FAILED, who="ann")
    assert (report.became, report.complete) == ({"failed": 3}, False)
    assert (await mirror.event("evvou_0")).attempts == 2
    assert (await mirror.audit.lines())[0].result == "partly"
    assert (await mirror.worker.health()).ready


async def test_discard_some(mirror: Mirror, finder: SqlEventFinder) -> None:
    """Named events are given up, with who and why; unknown and other ones are named and left alone."""
    mirror.handlers.broken = False
    await mirror.deliver(voucher_deleted(voucher_id="v_9", event_id="evvou_9"))
    await eventually(lambda: has(mirror, {"failed": 3, "applied": 1}))
    ids = ["evvou_1", "evvou_2", "evvou_9", "nothing", "a\0b", "x" * 600]
    report = await operation(mirror, finder).decide(
        "discard", Selection(EventQuery(), ids), who="ann", reason="a test voucher"
    )
    assert (report.eligible, report.told, report.left_alone) == (2, 2, 1)
    assert report.unknown == ["nothing", "a\0b", "x" * 600]
    assert (report.became, report.complete) == ({"discarded": 2}, False)
    (decision,) = await finder.decisions("p", "evvou_1")
    assert (decision.action, decision.who, decision.reason) == ("discarded", "ann", "a test voucher")
    assert (await mirror.event("evvou_1")).failure_code == "handler_error"
    assert await in_bin(mirror) == ["v_9"]
    # A discarded event is given up for good.
    again = await operation(mirror, finder).decide("redrive", Selection(EventQuery(), ["evvou_1"]), who="ann")
    assert (again.told, again.left_alone) == (0, 1)


async def test_preview_changes_nothing(mirror: Mirror, finder: SqlEventFinder) -> None:
    """A dry run counts by status and code; nothing is written anywhere."""
    preview = await operation(mirror, finder).preview("redrive", ALL_FAILED)
    assert (preview.eligible, preview.unknown) == (3, [])
    assert preview.by_status == {("failed", "handler_error"): 3}
    named = await operation(mirror, finder).preview("discard", Selection(EventQuery(), ["evvou_1", "no"]))
    assert (named.eligible, named.unknown) == (1, ["no"])
    assert await mirror.audit.lines() == []
    assert await has(mirror, {"failed": 3})


async def test_decisions_survive_a_rebuild(
    mirror: Mirror, finder: SqlEventFinder, unmigrated_twin: str, tmp_path: Path
) -> None:
    """A projection built anew from the log, by code that was mended meanwhile, knows what was discarded."""
    await operation(mirror, finder).decide("discard", Selection(EventQuery(), ["evvou_1"]), who="ann")
    mirror.handlers.broken = False
    await operation(mirror, finder).decide("redrive", ALL_FAILED, who="ann")
    assert await has(mirror, {"discarded": 1, "applied": 5})
    await mirror.rest()
    async with Mirror(tmp_path, unmigrated_twin) as rebuilt:
        await eventually(lambda: has(rebuilt, {"discarded": 1, "applied": 5}))
        assert await in_bin(rebuilt) == await in_bin(mirror) == ["v_0", "v_2"]
        assert (await rebuilt.event("evvou_1")).status == "discarded"


@pytest.fixture
def unmigrated_twin(tmp_path: Path) -> str:
    """The address of a second projection."""
    return f"sqlite:///{tmp_path}/twin.db"


async def test_no_worker(mirror: Mirror, finder: SqlEventFinder) -> None:
    """Without a worker the decisions are durable, reported as pending, and done later."""
    mirror.handlers.broken = False
    await mirror.rest()
    report = await operation(mirror, finder, standstill=0.5).decide("redrive", ALL_FAILED, who="ann")
    assert (report.told, report.pending, report.became, report.complete) == (3, 3, {}, False)
    mirror.work()
    await eventually(lambda: has(mirror, {"applied": 6}))


async def test_cut_half_way_and_taken_up_again(mirror: Mirror, finder: SqlEventFinder) -> None:
    """A cancelled operation leaves a consistent state and its line in the audit; the next does the rest."""
    mirror.handlers.broken = False
    told = asyncio.Event()

    def watch(_: Report) -> None:
        told.set()

    only = Selection(EventQuery(status="failed", resource_id="v_1"))
    await mirror.control.order_pause(who="ann", reason=None)
    await eventually(lambda: paused(mirror))
    task = asyncio.create_task(operation(mirror, finder).decide("redrive", only, who="ann", watch=watch))
    await told.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (line,) = await mirror.audit.lines()
    assert (line.result, line.counts) == ("interrupted", {"eligible": 1, "told": 1})
    await mirror.control.order_resume()
    report = await operation(mirror, finder).decide("redrive", ALL_FAILED, who="ann")
    assert report.became["applied"] == report.told
    await eventually(lambda: applied(mirror, 3))


async def paused(mirror: Mirror) -> bool:
    return (await mirror.worker.health()).details["paused"] is not None


async def applied(mirror: Mirror, vouchers: int) -> bool:
    return len(await in_bin(mirror)) == vouchers


async def test_log_away(mirror: Mirror, finder: SqlEventFinder) -> None:
    """A log that does not answer fails the operation after a while, and the audit says so."""
    failing = FailedEvents(
        reader=mirror.reader,
        finder=finder,
        producer=FailingProducer(LogUnavailableError("no broker")),
        audit=mirror.audit,
        clock=ManualClock(),
    )
    with pytest.raises(LogUnavailableError):
        await failing.decide("redrive", ALL_FAILED, who="ann")
    assert (await mirror.audit.lines())[0].result == "failed"


async def test_reason_that_no_database_stores(mirror: Mirror, finder: SqlEventFinder) -> None:
    """Such a reason is refused before anything is done."""
    with pytest.raises(DataRejectedError):
        await operation(mirror, finder).decide("discard", ALL_FAILED, who="ann", reason="a\0b")
    assert await has(mirror, {"failed": 3})


async def test_filters(mirror: Mirror, finder: SqlEventFinder) -> None:
    """Text is looked for literally and case-sensitively; a filter that nothing matches matches nothing."""
    count = finder.count
    assert await count(EventQuery(text="vvou_1")) == {("failed", "handler_error"): 1}
    assert await count(EventQuery(text="raised ValueError")) == {("failed", "handler_error"): 3}
    for nothing in ("RAISED", "%", "_1_", "a\0b", "\ud800"):
        assert await count(EventQuery(text=nothing)) == {}
    assert len(await mirror.reader.events(EventQuery(text="v_2"))) == 1
    assert await count(EventQuery(project="other")) == {}
    assert await count(EventQuery(received_until=0)) == {}
