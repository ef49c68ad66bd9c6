"""Puts together what the API asks about keys, and where it writes."""

from contextlib import AsyncExitStack

from consumer.addresses import SqliteAddress
from consumer.bootstrap.parts import projection_address
from consumer.clock import Clock
from consumer.projection.connections import Connections, OwnConnection
from consumer.projection.keys import SqlKeyStore
from consumer.projection.read_pool import ReadPool
from consumer.settings import Settings
from consumer.web.issued_keys import IssuedKeys


def make_issued_keys(
    settings: Settings,
    pool: ReadPool,
    writer: Connections | None,
    resources: AsyncExitStack,
    *,
    clock: Clock,
) -> IssuedKeys:
    """Created keys and access tokens; what this opens is closed with ``resources``.

    One connection of a process writes a SQLite file: the worker's, where there is a worker. PostgreSQL's
    writers do not wait for each other, so there a token does not wait for a batch.
    """
    if writer is not None and isinstance(settings.projection, SqliteAddress):
        return IssuedKeys(SqlKeyStore(writer, pool.read), clock)
    own = OwnConnection(projection_address(settings))
    resources.push_async_callback(own.stop)
    return IssuedKeys(SqlKeyStore(own, pool.read), clock)
