"""What the commands beside ``serve`` do: opens the parts that they need, and closes them again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from consumer.addresses import KafkaAddress, SqliteAddress
from consumer.bootstrap.parts import (
    log_admin,
    make_folder,
    projection_address,
    projection_reader,
)
from consumer.ops.status import SpoolStatus, Status, take_status
from consumer.projection.base import EventQuery, EventRow, ProjectionReader
from consumer.projection.migrate import migrate
from consumer.settings import Settings


async def current_status(settings: Settings) -> Status:
    """Log, projection and spool as they are now."""
    log, reader = log_admin(settings), projection_reader(settings)
    spool = None
    if isinstance(settings.event_log, KafkaAddress):

        async def spool() -> SpoolStatus:
            raise NotImplementedError

    try:
        return await take_status(log, reader, spool)
    finally:
        await reader.stop()
        await log.close()


@asynccontextmanager
async def _reading(settings: Settings) -> AsyncIterator[ProjectionReader]:
    reader = projection_reader(settings)
    try:
        await reader.start()
        yield reader
    finally:
        await reader.stop()


async def list_events(settings: Settings, query: EventQuery) -> Sequence[EventRow]:
    """A page of events, newest first."""
    async with _reading(settings) as reader:
        return await reader.events(query)


async def find_event(settings: Settings, project: str | None, event_id: str) -> EventRow | None:
    """One event with its body."""
    async with _reading(settings) as reader:
        return await reader.event(project, event_id)


def migrate_projection(settings: Settings) -> tuple[str, str]:
    """Bring the projection's schema up to date; the versions before and after."""
    if isinstance(settings.projection, SqliteAddress):
        make_folder(settings.projection.path)
    return migrate(projection_address(settings))
