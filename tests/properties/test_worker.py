"""Commits that fail while the worker reads ahead leave the projection of an undisturbed worker."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Table, select

from consumer.clock import SystemClock
from consumer.errors import DataRejectedError, ProjectionUnavailableError
from consumer.eventlog.sqlite import SqliteProducer, SqliteReader
from consumer.log import Output, create_log
from consumer.metrics import Metrics
from consumer.projection.base import Batch, BatchResult, Gathered, Outcome
from consumer.projection.engines import open_engine
from consumer.projection.store import SqlProjectionWriter
from consumer.projection.tables import bin_entries, counts, event_decisions, events
from consumer.types import NewRecord, Record
from consumer.worker.interpret import Interpreter
from consumer.worker.limits import HandlerLimit
from consumer.worker.loop import Worker
from tests.projection_kit import Said, eventually, interpret
from tests.properties.test_projection import DECISIONS, SAID, clear

STREAMS: Final = st.lists(st.one_of(SAID, SAID, DECISIONS), min_size=1, max_size=14)
FAULTS: Final = st.lists(
    st.sampled_from(["none", "away", "answer lost", "taken over", "refused", "refused half-way"]), max_size=6
)
PATIENCE: Final = 0.05
"""Seconds that a commit waits for the next batch to be read; at the end of the log there is none."""


class Reading(Interpreter):
    """Interprets records of the little language."""

    def __init__(self) -> None:
        super().__init__({})

    def record(self, record: Record) -> Outcome:
        return interpret(Said(*json.loads(record.value)).delivery(), record.offset)


class Troubled(SqlProjectionWriter):
    """A real projection whose commits end as ``faults`` say, each after the next batch was read ahead."""

    def __init__(self, address: str, faults: Sequence[str], clock: SystemClock) -> None:
        super().__init__(address, interpret=interpret, clock=clock)
        self._faults = iter(faults)
        self._loop = asyncio.get_running_loop()
        self._read_ahead = asyncio.Event()
        self._halved = False

    def gather(self, partition: int, outcomes: Sequence[Outcome]) -> Gathered | None:
        gathered = super().gather(partition, outcomes)
        self._loop.call_soon_threadsafe(self._read_ahead.set)
        return gathered

    async def commit(self, batch: Batch) -> BatchResult:
        self._read_ahead.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._read_ahead.wait()
        fault = "away" if self._halved else next(self._faults, "none")
        self._halved = False
        if fault == "away":
            raise ProjectionUnavailableError("away")
        if fault == "taken over":
            await self.acquire(batch.log_id, batch.partition, owner="another", lease=None)
        if fault.startswith("refused") and len(batch.outcomes) > 1:
            self._halved = fault == "refused half-way"
            raise DataRejectedError("together they are too much")
        result = await super().commit(batch)
        if fault == "answer lost":
            raise ProjectionUnavailableError("the answer was lost")
        return result


def content(address: str) -> dict[str, list[Any]]:
    """All that a rebuild makes, but for what depends on where batches end: see docs/design.md, Following."""
    database = open_engine(address, "read")
    with database.engine.connect() as connection:
        rows: dict[str, list[Any]] = {
            table.name: sorted(map(repr, connection.execute(select(*_steady(table))).all()))
            for table in (bin_entries, events, event_decisions)
        }
        counted = connection.execute(select(*counts.columns).where(counts.c.rows != 0))
        rows["counts"] = sorted(map(repr, counted.all()))
        rows["checkpoints"] = list(
            connection.exec_driver_sql("SELECT log_id, next_offset, digest FROM checkpoints").all()
        )
    database.engine.dispose()
    return rows


def _steady(table: Table) -> list[Column[Any]]:
    return [
        column for column in table.columns if column.name not in {"changed_offset", "sort_key", "attempts"}
    ]


async def mirrored(log: Path, address: str, *, faults: Sequence[str], batch_size: int, end: int) -> Any:
    """What a worker leaves behind that met ``faults``."""
    output, clock = Output(BytesIO()), SystemClock()
    worker = Worker(
        SqliteReader(log, clock=clock, poll_interval=0.001),
        Troubled(address, faults, clock),
        Reading(),
        owner="me",
        lease=10.0,
        clock=clock,
        metrics=Metrics(),
        log=create_log(output, level="error", console=False),
        batch_size=batch_size,
        wait=0.01,
        limit=HandlerLimit(consecutive=1000, share=1.0),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))

    async def done() -> bool:
        assert not running.done()
        return (await worker.health()).details["positions"] == {"0": end}

    await eventually(done)
    stop.set()
    await running
    output.close()
    return content(address)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=STREAMS, faults=FAULTS, batch_size=st.integers(1, 4))
async def test_faults_while_reading_ahead(
    address: str, stream: list[Said], faults: list[str], batch_size: int
) -> None:
    """Each record is applied exactly once, in the log's order, whichever commits fail and however."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log.db")
        producer = SqliteProducer(log, clock=SystemClock(), metrics=Metrics())
        await producer.start()
        for said in stream:
            await producer.append(NewRecord(b"k", json.dumps(said).encode(), ()))
        await producer.stop()
        clear(address)
        end = len(stream)
        undisturbed = f"sqlite:///{folder}/undisturbed.db"
        expected = await mirrored(log, undisturbed, faults=[], batch_size=batch_size, end=end)
        assert await mirrored(log, address, faults=faults, batch_size=batch_size, end=end) == expected
