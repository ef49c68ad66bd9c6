"""The control tables, on both databases: the audit, the worker's pause and stops."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Executable, insert, update

from consumer.errors import DataRejectedError
from consumer.projection.connections import OwnConnection
from consumer.projection.control import SqlAudit, SqlWorkerControl
from consumer.projection.control_tables import worker_stops
from consumer.projection.database_time import DatabaseNow
from consumer.projection.tables import checkpoints


@pytest.fixture
async def connection(address: str) -> AsyncIterator[OwnConnection]:
    """An open connection of an operator's process."""
    own = OwnConnection(address)
    await own.start()
    yield own
    await own.stop()


async def test_audit_line_is_there_before_the_work_is_done(connection: OwnConnection) -> None:
    """A line says who does what from the start, and how it ended once it has."""
    audit = SqlAudit(connection)
    await audit.begin("run1", who="ann@host", action="events.redrive", project="p", filters={"type": "x"})
    (line,) = await audit.lines()
    assert (line.audit_id, line.who, line.action, line.project) == ("run1", "ann@host", "events.redrive", "p")
    assert (line.filters, line.ended_at, line.result, line.counts) == ({"type": "x"}, None, None, {})
    await audit.finish("run1", result="partly", counts={"redriven": 3})
    (line,) = await audit.lines()
    assert (line.result, line.counts) == ("partly", {"redriven": 3})
    assert line.ended_at is not None
    assert line.began_at <= line.ended_at


async def test_audit_line_taken_up_again(connection: OwnConnection) -> None:
    """A run that is resumed has one line, with the time it began first."""
    audit = SqlAudit(connection)
    await audit.begin("run1", who="ann", action="reconcile", reason="first day")
    (first,) = await audit.lines()
    await audit.finish("run1", result="interrupted", counts={"seen": 1})
    await audit.begin("run1", who="bob", action="reconcile")
    (line,) = await audit.lines()
    assert (line.who, line.reason, line.began_at, line.ended_at) == ("ann", "first day", first.began_at, None)
    await audit.finish("run1", result="done", counts={"seen": 2})
    assert (await audit.lines())[0].counts == {"seen": 2}


async def test_newest_audit_lines_first(connection: OwnConnection) -> None:
    """Lines come newest first, as many as asked for."""
    audit = SqlAudit(connection)
    for number in range(3):
        await audit.begin(f"run{number}", who="ann", action="worker.pause")
    newest = [line.audit_id for line in await audit.lines(limit=2)]
    assert newest == ["run2", "run1"]


async def test_audit_refuses_what_no_database_stores(connection: OwnConnection) -> None:
    """NUL and lone surrogates are refused, on both databases alike."""
    with pytest.raises(DataRejectedError, match="reason"):
        await SqlAudit(connection).begin("run", who="ann", action="events.discard", reason="a\0b")


async def test_pause_and_resume(connection: OwnConnection) -> None:
    """A pause holds until workers are told to go on; a second one does not replace it."""
    control = SqlWorkerControl(connection)
    assert await control.pause() is None
    assert await control.order_pause(who="ann", reason="an upgrade")
    assert not await control.order_pause(who="bob", reason=None)
    pause = await control.pause()
    assert pause is not None
    assert (pause.who, pause.reason) == ("ann", "an upgrade")
    before = await control.order_resume()
    assert before.pause == pause
    assert await control.pause() is None
    assert (await control.order_resume()) == (None, [])


async def test_stopped_worker_hears_that_it_may_go_on(connection: OwnConnection) -> None:
    """A worker that stopped by itself is shown with its reason, and learns when somebody resumes it."""
    control = SqlWorkerControl(connection)
    await control.stopped("host/1", "handlers raised 20 times")
    await control.stopped("host/2", "too")
    assert await control.still_stopped("host/1")
    await control.gone("host/2")
    (stop,) = (await control.order_resume()).stops
    assert (stop.worker, stop.reason) == ("host/1", "handlers raised 20 times")
    assert 0 <= stop.seen_ago < 60
    assert not await control.still_stopped("host/1")


async def test_a_dead_process_does_not_stay_stopped_for_ever(connection: OwnConnection) -> None:
    """A stop is shown until its process is gone and other workers have caught up with the log since."""
    control = SqlWorkerControl(connection)

    async def change(what: Executable) -> None:
        await connection.write(lambda database: database.execute(what))

    async def shown() -> list[str]:
        return [stop.worker for stop in (await control.state()).stops]

    def caught_up(partition: int, seconds_ago: int | None) -> Executable:
        moment = None if seconds_ago is None else DatabaseNow() - seconds_ago * 1_000_000
        key = {"consumer": "projection", "generation": 1, "log_id": "log", "log_partition": partition}
        return insert(checkpoints).values(**key, next_offset=0, epoch=1, caught_up_at=moment, updated_at=0)

    await control.stopped("host/dead", "handlers raised 20 times")
    await change(update(worker_stops).values(seen_at=worker_stops.c.seen_at - 60_000_000))
    await control.stopped("host/waits", "too")
    assert await shown() == ["host/dead", "host/waits"]
    await change(caught_up(0, 30))
    await change(caught_up(1, 90))
    assert await shown() == ["host/dead", "host/waits"]
    await change(update(checkpoints).values(caught_up_at=DatabaseNow() - 30_000_000))
    assert await shown() == ["host/waits"]
    await control.order_resume()
    assert not await control.still_stopped("host/waits")


async def test_consumers_do_not_mix(connection: OwnConnection) -> None:
    """Orders for one consumer's workers are not another's."""
    one, other = SqlWorkerControl(connection), SqlWorkerControl(connection, consumer="other")
    await one.order_pause(who="ann", reason=None)
    await one.stopped("host/1", "why")
    assert await other.pause() is None
    await other.order_resume()
    assert await one.pause() is not None
    assert await one.still_stopped("host/1")
