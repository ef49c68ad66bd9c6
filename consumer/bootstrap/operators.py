"""Opens what operators' commands work with, and closes it again."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from consumer.bootstrap.parts import (
    direct_producer,
    projection_address,
    projection_reader,
    require_projection,
)
from consumer.clock import SystemClock
from consumer.metrics import Metrics
from consumer.ops.failed_events import FailedEvents
from consumer.ops.keys import KeyAdmin
from consumer.ops.worker_switch import WorkerSwitch
from consumer.projection.connections import OwnConnection
from consumer.projection.control import SqlAudit, SqlWorkerControl
from consumer.projection.event_finder import EventFinder, SqlEventFinder
from consumer.projection.keys import SqlKeyStore
from consumer.settings import Settings


class Operators(NamedTuple):
    """What an operator may do, opened."""

    events: FailedEvents
    finder: EventFinder
    switch: WorkerSwitch


@asynccontextmanager
async def operators(settings: Settings, *, tells: bool = True) -> AsyncIterator[Operators]:
    """Everything. Without ``tells`` the event log is not connected to, and nothing can be decided.

    Raises ProjectionUnavailableError, LogUnavailableError, StopError.
    """
    clock = SystemClock()
    async with AsyncExitStack() as resources:
        connection = await _connected(settings, resources)
        reader = projection_reader(settings)
        resources.push_async_callback(reader.stop)
        await reader.start()
        producer = direct_producer(settings, clock=clock, metrics=Metrics())
        if tells:
            resources.push_async_callback(producer.stop)
            await producer.start()
        audit, finder = SqlAudit(connection), SqlEventFinder(connection)
        yield Operators(
            FailedEvents(reader=reader, finder=finder, producer=producer, audit=audit, clock=clock),
            finder,
            WorkerSwitch(SqlWorkerControl(connection), audit),
        )


@asynccontextmanager
async def worker_switch(settings: Settings) -> AsyncIterator[WorkerSwitch]:
    """Without the event log. Raises ProjectionUnavailableError, StopError."""
    async with AsyncExitStack() as resources:
        connection = await _connected(settings, resources)
        yield WorkerSwitch(SqlWorkerControl(connection), SqlAudit(connection))


@asynccontextmanager
async def event_finder(settings: Settings) -> AsyncIterator[EventFinder]:
    """Without the event log. Raises ProjectionUnavailableError, StopError."""
    async with AsyncExitStack() as resources:
        yield SqlEventFinder(await _connected(settings, resources))


@asynccontextmanager
async def key_admin(settings: Settings) -> AsyncIterator[KeyAdmin]:
    """Without the event log. Raises ProjectionUnavailableError, StopError."""
    async with AsyncExitStack() as resources:
        connection = await _connected(settings, resources)
        yield KeyAdmin(SqlKeyStore(connection), SqlAudit(connection))


async def _connected(settings: Settings, resources: AsyncExitStack) -> OwnConnection:
    require_projection(settings)
    connection = OwnConnection(projection_address(settings))
    resources.push_async_callback(connection.stop)
    await connection.start()
    return connection
