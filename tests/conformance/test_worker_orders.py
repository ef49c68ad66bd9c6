"""The worker under an operator's orders: it waits, goes on, and says what stopped it."""

from functools import partial
from pathlib import Path

from consumer.projection.base import EventQuery
from consumer.projection.connections import OwnConnection
from consumer.projection.control import SqlWorkerControl
from consumer.projection.store import SqlProjectionWriter
from consumer.worker.limits import HandlerLimit
from tests.worker_kit import Handlers, Mirror, eventually


async def test_paused_worker_stays_and_goes_on(address: str, tmp_path: Path) -> None:
    """A paused worker applies nothing, is ready, says who paused it and why, and later misses nothing."""
    async with Mirror(tmp_path, address) as mirror:
        await mirror.delete_vouchers(3)
        await eventually(lambda: _has(mirror, {"applied": 3}))
        await mirror.control.order_pause(who="ann@host", reason="an upgrade")
        await eventually(lambda: _says(mirror, "by ann@host: an upgrade"))
        await mirror.delete_vouchers(3, start=3)
        await eventually(lambda: _lags(mirror, 3))
        health = await mirror.worker.health()
        assert health.ready
        assert health.summary.startswith("paused since 20")
        assert await _has(mirror, {"applied": 3})
        await mirror.control.order_resume()
        await eventually(lambda: _has(mirror, {"applied": 6}))
        assert (await mirror.worker.health()).details["paused"] is None


async def test_worker_that_starts_while_paused(address: str, tmp_path: Path) -> None:
    """The order outlives processes: a worker that starts later waits too."""
    async with Mirror(tmp_path, address, works=False) as mirror:
        await mirror.control.order_pause(who="ann", reason=None)
        await mirror.delete_vouchers(3)
        mirror.work()
        await eventually(lambda: _lags(mirror, 3))
        assert await _has(mirror, {})
        await mirror.control.order_resume()
        await eventually(lambda: _has(mirror, {"applied": 3}))


async def test_worker_stopped_by_the_limit_goes_on_when_told(address: str, tmp_path: Path) -> None:
    """The stop is written down with its reason; after a resume the same process goes on."""
    handlers = Handlers(broken=True)
    async with Mirror(
        tmp_path, address, handlers=handlers, limit=HandlerLimit(consecutive=3), works=False
    ) as mirror:
        await mirror.delete_vouchers(5)
        mirror.work()
        await eventually(lambda: _stopped(mirror))
        assert await _has(mirror, {})
        (stop,) = (await mirror.control.state()).stops
        assert stop.worker == "host/1"
        assert "handlers raised 3 times in a row" in stop.reason
        assert "binmirror worker resume" in stop.reason
        handlers.broken = False
        before = await mirror.control.order_resume()
        assert before.stops[0].reason == stop.reason
        await eventually(lambda: _has(mirror, {"applied": 5}))
        assert (await mirror.worker.health()).ready


async def test_resume_without_mending_lets_the_batch_fail(address: str, tmp_path: Path) -> None:
    """An operator may let the events fail: the batch that was too much for the limit is committed."""
    handlers = Handlers(broken=True)
    async with Mirror(
        tmp_path, address, handlers=handlers, limit=HandlerLimit(consecutive=3), works=False
    ) as mirror:
        await mirror.delete_vouchers(5)
        mirror.work()
        await eventually(lambda: _stopped(mirror))
        await mirror.control.order_resume()
        await eventually(lambda: _has(mirror, {"failed": 5}))


async def test_stop_is_forgotten_when_the_process_ends(address: str, tmp_path: Path) -> None:
    """A stopped worker whose process is ended cleanly leaves no stop behind."""
    mirror = Mirror(
        tmp_path, address, handlers=Handlers(broken=True), limit=HandlerLimit(consecutive=3), works=False
    )
    async with mirror:
        await mirror.delete_vouchers(5)
        mirror.work()
        await eventually(lambda: _stopped(mirror))
    connection = OwnConnection(address)
    assert (await SqlWorkerControl(connection).state()).stops == []
    await connection.stop()


async def test_taken_over_while_reading_ahead(address: str, tmp_path: Path) -> None:
    """Whenever another one takes the partition, what was read ahead is dropped, and all is applied once."""
    async with Mirror(tmp_path, address, works=False, batch_size=5) as mirror:
        await mirror.delete_vouchers(300)
        other = SqlProjectionWriter(address, interpret=Handlers(), clock=mirror.clock)
        await other.start()
        mirror.work()
        applied, taken = 0, 0
        while applied < 300 and taken < 4:
            await eventually(partial(_applied_more, mirror, applied))
            taken += 1
            checkpoint = await other.acquire(await _log_id(mirror), 0, owner="other", lease=None)
            assert checkpoint is not None
            applied = checkpoint.next_offset
        await other.stop()
        await eventually(lambda: _has(mirror, {"applied": 300}))
        assert {row.deliveries for row in await mirror.reader.events(EventQuery(limit=300))} == {1}


async def _has(mirror: Mirror, statuses: dict[str, int]) -> bool:
    return await mirror.statuses() == statuses


async def _says(mirror: Mirror, text: str) -> bool:
    return text in (await mirror.worker.health()).summary


async def _lags(mirror: Mirror, number: int) -> bool:
    return (await mirror.worker.health()).details["lag"] == {"0": number}


async def _stopped(mirror: Mirror) -> bool:
    return bool((await mirror.control.state()).stops)


async def _log_id(mirror: Mirror) -> str:
    return (await mirror.reader.info()).checkpoints[0].log_id


async def _applied_more(mirror: Mirror, least: int) -> bool:
    return (await mirror.statuses()).get("applied", 0) > least
