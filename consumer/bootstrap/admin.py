"""What the commands beside ``serve`` do: opens the parts that they need, and closes them again."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from consumer.addresses import KafkaAddress, SqliteAddress
from consumer.bootstrap.entries_topic import look_at_publishing, make_entries_topic
from consumer.bootstrap.operators import worker_switch
from consumer.bootstrap.parts import (
    kafka_connection,
    log_admin,
    make_folder,
    projection_address,
    projection_reader,
    require_projection,
    substring_keys,
    topic_config,
)
from consumer.bootstrap.reconcile import look_at_reconciling
from consumer.errors import SettingsError
from consumer.eventlog.kafka.admin import KafkaLogAdmin
from consumer.eventlog.kafka.topic import TopicCreation
from consumer.eventlog.spool_file import read_counts
from consumer.ops.status import Sources, SpoolStatus, Status, take_status
from consumer.ops.topic_status import TopicStatus, topic_status
from consumer.ops.worker_switch import blocking_reasons
from consumer.projection.base import EventQuery, EventRow, ProjectionReader
from consumer.projection.migrate import migrate
from consumer.projection.substring_index import OnProgress, set_substring_index
from consumer.settings import Settings
from consumer.web.targets import webhook_urls
from schemas.trash_bin import FilterKey


async def current_status(settings: Settings) -> Status:
    """Log, projection and spool as they are now."""
    log = log_admin(settings)
    spool = None
    if not isinstance(settings.event_log, SqliteAddress):
        spool = partial(_spool_status, settings.spool)
    try:
        sources = Sources(
            log=log,
            open_reader=partial(_existing_projection, settings),
            spool=spool,
            reconciliation=partial(look_at_reconciling, settings),
            worker=partial(_what_keeps_workers, settings),
            topic=partial(_how_publishing_goes, settings),
        )
        return await take_status(sources, webhook_urls=_webhook_urls(settings))
    finally:
        await log.close()


def _webhook_urls(settings: Settings) -> Mapping[str, str]:
    if settings.public_url is None:
        return {}
    return webhook_urls(settings.public_url, settings.resolved_projects())


async def _what_keeps_workers(settings: Settings) -> Sequence[str]:
    async with worker_switch(settings) as switch:
        return blocking_reasons(await switch.state())


async def _how_publishing_goes(settings: Settings) -> TopicStatus | None:
    address = settings.entries_topic
    if address is None:
        return None
    return topic_status(str(address), await look_at_publishing(settings, address))


async def _spool_status(path: Path) -> SpoolStatus | None:
    counts = await asyncio.to_thread(read_counts, path)
    return None if counts is None else SpoolStatus(str(path), counts.pending, counts.set_aside)


def _existing_projection(settings: Settings) -> ProjectionReader:
    require_projection(settings)
    return projection_reader(settings)


@asynccontextmanager
async def _reading(settings: Settings) -> AsyncIterator[ProjectionReader]:
    reader = _existing_projection(settings)
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


class Migrated(NamedTuple):
    """What `binmirror migrate` found and left: before, after."""

    schema: tuple[str, str]
    substring_index: tuple[Sequence[FilterKey], Sequence[FilterKey]]


def migrate_projection(settings: Settings, on_progress: OnProgress) -> Migrated:
    """Bring the projection's schema up to date, and the index of parts to what the settings want."""
    if isinstance(settings.projection, SqliteAddress):
        make_folder(settings.projection.path)
    address = projection_address(settings)
    schema = migrate(address)
    before, after = set_substring_index(address, substring_keys(settings), on_progress)
    return Migrated(schema, (sorted(before), sorted(after)))


async def create_topics(settings: Settings) -> Sequence[Mapping[str, object]]:
    """Make the event log's topic and that of entries, or look at those that are there; says what was done."""
    log, entries = settings.event_log, settings.entries_topic
    if isinstance(log, SqliteAddress) and entries is None:
        raise SettingsError(
            "EVENT_LOG: is a SQLite file, which has no topic; "
            "for example BINMIRROR_EVENT_LOG=kafka://kafka-1:9092/binmirror"
        )
    done = []
    if not isinstance(log, SqliteAddress):
        admin = KafkaLogAdmin(kafka_connection(settings, log))
        try:
            done.append(_outcome(log, await admin.create_topic(**topic_config(settings))))
        finally:
            await admin.close()
    if entries is not None:
        done.append(_outcome(entries, await make_entries_topic(settings, entries)))
    return done


def _outcome(address: KafkaAddress, result: TopicCreation) -> Mapping[str, object]:
    return {"topic": str(address), "created": result.created, "differences": list(result.differences)}
