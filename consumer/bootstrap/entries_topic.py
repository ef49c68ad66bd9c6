"""Puts together what publishes the bin's entries to a compacted topic."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from consumer.addresses import KafkaAddress, SqliteAddress
from consumer.bootstrap.names import process_name
from consumer.bootstrap.parts import (
    kafka_connection,
    log_admin,
    make_folder,
    projection_address,
    read_pool,
    topic_config,
)
from consumer.clock import Clock
from consumer.errors import LogUnavailableError, SettingsError, StopError
from consumer.eventlog.base import LogAdmin
from consumer.eventlog.kafka.entries import KafkaEntriesTopic
from consumer.eventlog.kafka.entries_admin import EntriesTopicAdmin
from consumer.eventlog.kafka.topic import TopicCreation
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.projection.changes import SqlChanges
from consumer.projection.publisher_base import TopicLook
from consumer.projection.publisher_store import SqlPublisherStore
from consumer.projection.read_pool import ReadPool
from consumer.publisher.loop import Publisher
from consumer.settings import Settings

_LOOK_SECONDS: Final = 20.0
LEASE_SECONDS: Final = 10.0
"""How long the topic waits for a process that has vanished before another one publishes."""


def make_publisher(
    settings: Settings, resources: AsyncExitStack, *, clock: Clock, log: Logger, metrics: Metrics
) -> Publisher | None:
    """What publishes for as long as it lives; None: no topic is set. ``resources`` close what it opens."""
    address = settings.entries_topic
    if address is None:
        return None
    if isinstance(settings.projection, SqliteAddress):
        make_folder(settings.projection.path)
    store = SqlPublisherStore(projection_address(settings), address.topic)
    pool = read_pool(settings)
    admin = log_admin(settings)
    resources.push_async_callback(store.stop)
    resources.push_async_callback(pool.stop)
    resources.push_async_callback(admin.close)
    return Publisher(
        address.topic,
        KafkaEntriesTopic(
            kafka_connection(settings, address),
            allow_single_replica=settings.kafka_allow_single_replica,
            clock=clock,
        ),
        SqlChanges(pool),
        store,
        open_parts=partial(_open, store, pool),
        log_ends=partial(_log_ends, admin),
        owner=process_name(),
        lease=LEASE_SECONDS,
        clock=clock,
        metrics=metrics,
        log=log,
    )


async def _open(store: SqlPublisherStore, pool: ReadPool) -> None:
    await store.start()
    await pool.start()


async def _log_ends(admin: LogAdmin) -> Mapping[int, int]:
    try:
        info = await admin.describe()
    except StopError as error:
        # No log yet, for example: whoever makes it needs no person.
        raise LogUnavailableError(str(error)) from error
    return {number: bounds.end for number, bounds in info.bounds.items()}


async def make_entries_topic(settings: Settings, address: KafkaAddress) -> TopicCreation:
    """Make the topic, unless it is there. Raises LogUnavailableError, StopError."""
    wishes = topic_config(settings)
    return await EntriesTopicAdmin(kafka_connection(settings, address)).create(
        partitions=wishes["partitions"],
        replication_factor=wishes["replication_factor"],
        min_insync_replicas=wishes["min_insync_replicas"],
        allow_single_replica=wishes["allow_single_replica"],
    )


async def look_at_entries_topic(settings: Settings, address: KafkaAddress) -> None:
    """Make the topic if the settings say so, and check it.

    Raises:
        SettingsError: the topic is missing, or would forget entries.
        LogUnavailableError: the cluster does not answer.
        StopError: the cluster does not make the topic.

    """
    if settings.kafka_create_topic:
        await make_entries_topic(settings, address)
    admin = EntriesTopicAdmin(kafka_connection(settings, address))
    problems = await admin.check(allow_single_replica=settings.kafka_allow_single_replica)
    if problems:
        raise SettingsError(f"ENTRIES_TOPIC: {'; '.join(problems)}")


async def look_at_publishing(settings: Settings, address: KafkaAddress) -> TopicLook:
    """How far it has come, and who publishes. Raises ProjectionUnavailableError, SchemaMismatchError."""
    store = SqlPublisherStore(projection_address(settings), address.topic)
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            await store.start()
            return await store.look()
    finally:
        await store.stop()
