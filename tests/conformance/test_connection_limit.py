"""A PostgreSQL that grants fewer connections than there are threads to use them."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection

from consumer.errors import ProjectionUnavailableError
from consumer.projection.engines import open_engine
from consumer.projection.granted import GrantedConnections
from consumer.projection.migrate import migrate
from consumer.projection.read_pool import ReadPool
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres

ROLE = "few"


@pytest.fixture
def limited(postgres_server: PostgresServer, postgres_url: str) -> Iterator[str]:
    """The address of a migrated database for a role that gets one connection, and may not do all."""
    migrate(postgres_url)
    postgres_server.execute(f"CREATE ROLE {ROLE} LOGIN CONNECTION LIMIT 1 IN ROLE pg_read_all_data")
    yield postgres_url.replace("postgres@", f"{ROLE}@")
    postgres_server.execute(f"DROP ROLE {ROLE}")


def its_session(connection: Connection) -> int:
    """Takes a while, so that several want to be at it at the same time."""
    found = connection.exec_driver_sql("SELECT pg_backend_pid() FROM pg_sleep(0.02)").scalar_one()
    assert isinstance(found, int)
    return found


async def test_reads_with_what_it_gets(limited: str) -> None:
    """All questions are answered, one after the other; who gets no connection is told the server's words."""
    pool = ReadPool(limited)
    await pool.start()
    sessions = await asyncio.gather(*(pool.read(its_session) for _ in range(20)))
    assert len(set(sessions)) == 1
    other = ReadPool(limited)
    with pytest.raises(ProjectionUnavailableError, match='too many connections for role "few"'):
        await other.start()
    await pool.stop()
    await other.start()
    await other.stop()


async def test_sessions_that_the_server_ended(postgres_server: PostgresServer, postgres_url: str) -> None:
    """Who reads does not notice that all connections that lay ready were closed meanwhile."""
    migrate(postgres_url)
    pool = ReadPool(postgres_url)
    await pool.start()
    before = set(await asyncio.gather(*(pool.read(its_session) for _ in range(8))))
    for session in before:
        postgres_server.execute(f"SELECT pg_terminate_backend({session}, 10_000)")
    after = await asyncio.gather(*(pool.read(its_session) for _ in range(8)))
    assert before.isdisjoint(after)
    await pool.stop()


def test_asks_for_more_later(postgres_server: PostgresServer, limited: str) -> None:
    """Once the server grants more they are used, without a restart."""
    engine = open_engine(limited, "read", connections=4).engine
    connections = GrantedConnections(engine, again=0.1)

    def session(_: int) -> int:
        with connections.one() as connection:
            return its_session(connection)

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(session, range(8)))) == 1
        postgres_server.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT 3")
        deadline = time.monotonic() + 30
        while len(set(threads.map(session, range(8)))) != 3:
            assert time.monotonic() < deadline
    engine.dispose()
