"""Puts together what the role ``api`` asks."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from consumer.bootstrap.deletes import make_purge
from consumer.bootstrap.health import reader_health
from consumer.bootstrap.keys import make_issued_keys
from consumer.bootstrap.parts import read_pool
from consumer.bootstrap.tasks import Tasks
from consumer.clock import Clock
from consumer.errors import StopError, TransientError
from consumer.eventlog.base import Producer
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.projection.base import ProjectionReader
from consumer.projection.changes import SqlChanges
from consumer.projection.connections import Connections
from consumer.projection.freshness import SqlFreshnessReader
from consumer.projection.lookups import SqlLookups
from consumer.projection.mirror import SqlMirror
from consumer.projection.queries import SqlProjectionReader
from consumer.settings import Settings
from consumer.types import HealthCheck
from consumer.waiting import backoff, stopped_within
from consumer.web.api import Api
from consumer.web.change_feed import ChangeFeed
from consumer.web.change_stream import StreamRules
from consumer.web.changes import Following
from consumer.web.freshness import Freshness

_FIRST_RETRY: Final = 0.2
_LONGEST_RETRY: Final = 5.0
_CATCHING_UP: Final = 2
"""Of the threads that read, for followers behind the feed: should all begin anew at once, lookups go on."""


def make_api(
    settings: Settings,
    receiver: Producer | None,
    writer: Connections | None,
    resources: AsyncExitStack,
    tasks: Tasks,
    *,
    stop: asyncio.Event,
    clock: Clock,
    log: Logger,
    metrics: Metrics,
) -> tuple[Api, HealthCheck]:
    """The API's parts and how they are; what they open is closed with ``resources``.

    ``receiver`` is the producer that takes deliveries in this process, if one does, and ``writer`` the
    worker's writer, if there is a worker in it.
    """
    pool = read_pool(settings)
    reader = SqlProjectionReader(pool)
    resources.push_async_callback(reader.stop)
    tasks.start("projection", _connect(reader, stop, log), endless=False)
    purge = make_purge(settings, reader, receiver, resources, tasks, clock=clock, log=log, metrics=metrics)
    freshness = Freshness(
        SqlFreshnessReader(pool), patience=settings.fresh_wait, clock=clock, metrics=metrics, log=log
    )
    tasks.start("freshness", freshness.run(stop))
    keys = make_issued_keys(settings, pool, writer, resources, clock=clock)
    tasks.start("api keys", keys.run(stop))
    feed = ChangeFeed(SqlChanges(pool), log=log)
    tasks.start("changes", feed.run(stop))
    rules = StreamRules(
        most=settings.streams_max,
        heartbeat=settings.stream_heartbeat,
        write_timeout=settings.stream_write_timeout,
    )
    following = Following(SqlChanges(pool, at_once=_CATCHING_UP), feed, rules, metrics)
    api = Api(
        reader=reader,
        freshness=freshness,
        following=following,
        purge=purge,
        keys=keys,
        lookups=SqlLookups(pool),
        mirror=SqlMirror(pool),
    )
    return api, partial(reader_health, reader)


async def _connect(reader: ProjectionReader, stop: asyncio.Event, log: Logger) -> None:
    """Start ``reader`` however long the database is away: it must not keep deliveries out."""
    failures = 0
    while not stop.is_set():
        try:
            await reader.start()
        except (TransientError, StopError) as error:
            log.warning("projection_unavailable", error=type(error).__name__, reason=str(error))
        else:
            return
        await stopped_within(stop, backoff(failures, first=_FIRST_RETRY, longest=_LONGEST_RETRY))
        failures += 1
