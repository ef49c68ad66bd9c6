"""What goes wrong around a projection: servers away, locks held, workers frozen."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pysqlite3 import dbapi2 as sqlite

from consumer.errors import DataRejectedError, FencedError, ProjectionUnavailableError, StopError
from consumer.projection.base import Batch
from consumer.projection.engines import Purpose, open_engine
from consumer.projection.failures import ConflictError, translate
from consumer.projection.migrate import migrate
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from schemas.trash_bin import BinQuery
from tests.projection_kit import LOG, Feed, Said, writer
from tests.servers.postgres import PostgresServer


@pytest.mark.postgres
@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_both_sides_survive_a_restart(
    postgres_server: PostgresServer, postgres_url: str, end: str
) -> None:
    """While PostgreSQL is away the errors say that it may come back; after that all goes on by itself."""
    migrate(postgres_url)
    store, reader = writer(postgres_url), SqlProjectionReader(ReadPool(postgres_url))
    await store.start()
    await reader.start()
    feed = await Feed.of(store)
    await feed.push(Said())
    await reader.ping()
    await asyncio.to_thread(getattr(postgres_server, end))
    try:
        with pytest.raises(ProjectionUnavailableError):
            await feed.push(Said("e2", resource_id="v2"))
        for ask in (
            reader.ping,
            reader.info,
            lambda: reader.list_bin("p", BinQuery()),
            lambda: store.look(lambda connection: connection.exec_driver_sql("SELECT 1")),
            lambda: store.acquire(LOG, 0, owner="another", lease=1.0),
        ):
            with pytest.raises(ProjectionUnavailableError):
                await ask()
    finally:
        await asyncio.to_thread(postgres_server.start)
    await feed.push(Said("e2", resource_id="v2"))
    assert len((await reader.list_bin("p", BinQuery())).entries) == 2
    await store.stop()
    await reader.stop()


@pytest.mark.postgres
async def test_read_only_for_a_while(postgres_server: PostgresServer, postgres_url: str) -> None:
    """A database that takes no writes is waited for, and goes on without a restart once it does again."""
    migrate(postgres_url)
    store = writer(postgres_url)
    await store.start()
    feed = await Feed.of(store)
    await feed.push(Said())
    name = postgres_url.removeprefix("postgresql://postgres@/").partition("?")[0]
    readonly = f"ALTER DATABASE {name} SET default_transaction_read_only ="
    await asyncio.to_thread(postgres_server.execute, f"{readonly} on")
    sessions = f"FROM pg_stat_activity WHERE datname = '{name}'"
    await asyncio.to_thread(postgres_server.execute, f"SELECT pg_terminate_backend(pid) {sessions}")
    with pytest.raises(ProjectionUnavailableError):
        await feed.push(Said("e2", resource_id="v2"))
    with pytest.raises(ProjectionUnavailableError, match="read-only transaction"):
        await feed.push(Said("e2", resource_id="v2"))
    await asyncio.to_thread(postgres_server.execute, f"{readonly} off")
    await feed.push(Said("e2", resource_id="v2"))
    await store.stop()


@pytest.mark.postgres
@pytest.mark.parametrize("purpose", ["read", "write", "migrate"])
def test_a_server_gone_without_a_word_is_given_up(postgres_url: str, purpose: Purpose) -> None:
    """Every connection ends when nothing is acknowledged, both while it waits and while it sends."""
    engine = open_engine(postgres_url, purpose).engine
    driver = engine.raw_connection().driver_connection
    assert isinstance(driver, psycopg.Connection)
    asked = driver.info.get_parameters()
    silent = sum(int(asked[f"keepalives_{name}"]) * number for name, number in (("idle", 1), ("interval", 3)))
    assert asked["tcp_user_timeout"] == str(silent * 1000)
    engine.dispose()


@pytest.mark.parametrize("damage", [b"no database" * 1000, None])
async def test_a_damaged_file(tmp_path: Path, damage: bytes | None) -> None:
    """A SQLite projection that is damaged, or none, is a matter for a person, who is told what to do."""
    path = tmp_path / "bin.db"
    address = f"sqlite:///{path}"
    migrate(address)
    content = path.read_bytes()
    path.write_bytes(damage or content[:4096] + b"\xff" * (len(content) - 4096))
    for side in (writer(address), SqlProjectionReader(ReadPool(address))):
        with pytest.raises(StopError, match="move it away"):
            await side.start()
        await side.stop()
    with pytest.raises(StopError, match="put a backup in its place"):
        migrate(address)


def test_messages_are_one_line() -> None:
    """What a driver says in several lines is one for us."""
    error = psycopg.OperationalError("connection refused\n\tIs the server running?\n")
    assert str(translate(error, "postgresql://db/x")) == (
        "postgresql://db/x: connection refused Is the server running?"
    )


@pytest.mark.postgres
async def test_a_frozen_owner_does_not_block_the_next(postgres_url: str) -> None:
    """A transaction that holds the checkpoint and never ends is ended by whoever takes the partition over."""
    migrate(postgres_url)
    store = writer(postgres_url)
    await store.start()
    await Feed.of(store)
    with psycopg.connect(postgres_url) as frozen:
        frozen.execute("UPDATE checkpoints SET next_offset = 7")
        feed = await Feed.of(store)
        assert feed.offset == 0
        await feed.push(Said())
        with pytest.raises(psycopg.OperationalError):
            frozen.execute("SELECT 1")
    await store.stop()


@pytest.mark.postgres
async def test_an_idle_transaction_ends_by_itself(postgres_url: str) -> None:
    """The server ends a writer's transaction in which nothing happens; nobody waits for locks for long."""
    database = open_engine(postgres_url, "write")
    with database.engine.begin() as connection:
        shown = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout")
        }
        collation = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
    database.engine.dispose()
    assert shown == {
        "idle_in_transaction_session_timeout": "10s",
        "lock_timeout": "5s",
        "statement_timeout": "1min",
    }
    assert collation == "on"


async def test_sqlite_is_durable_and_readers_only_read(tmp_path: Path) -> None:
    """The writer syncs in full and keeps a write-ahead log; a reader's connection can change nothing."""
    address = f"sqlite:///{tmp_path}/odd %3f#name.db".replace("#", "")
    migrate(address)
    for purpose, full in (("write", True), ("read", False)):
        database = open_engine(address, purpose)  # type: ignore[arg-type]  # both are among the literals
        with database.engine.connect() as connection:
            asked = ("journal_mode", "synchronous", "query_only", "wal_autocheckpoint")
            said = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in asked]
            assert said[0] == "wal"
            assert said[1] == 2
            assert bool(said[2]) is not full
            driver: Any = connection.connection.driver_connection
            if not full:
                with pytest.raises(sqlite.OperationalError):
                    driver.execute("DELETE FROM events")
        database.engine.dispose()


async def test_a_busy_sqlite_is_waited_for(tmp_path: Path) -> None:
    """A batch that finds the file locked goes through once the lock is gone."""
    address = f"sqlite:///{tmp_path}/bin.db"
    store = writer(address)
    await store.start()
    feed = await Feed.of(store)
    blocker = sqlite.connect(f"{tmp_path}/bin.db", isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, lambda: blocker.execute("ROLLBACK"))
    timer.start()
    await feed.push(Said())
    timer.join()
    blocker.close()
    await store.stop()


def sqlite_error(statement: str, *values: object) -> sqlite.Error:
    with pytest.raises(sqlite.Error) as caught:
        sqlite.connect(":memory:").execute(statement, values).fetchall()
    error: sqlite.Error = caught.value
    return error


def test_sqlite_errors_by_code(tmp_path: Path) -> None:
    """Locked, full or unreadable files may recover; values that do not fit never do."""
    place = tmp_path / "x.db"
    holder = sqlite.connect(place, isolation_level=None)
    holder.execute("CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT")
    holder.execute("BEGIN IMMEDIATE")
    other = sqlite.connect(place, timeout=0)
    with pytest.raises(sqlite.OperationalError) as busy:
        other.execute("INSERT INTO t VALUES (1)")
    holder.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite.OperationalError) as full:
        holder.execute("CREATE TABLE more (y)")
    with pytest.raises(sqlite.IntegrityError) as mismatch:
        holder.execute("INSERT INTO t VALUES ('text')")
    for caught in (busy, full):
        assert isinstance(translate(caught.value, "here"), ProjectionUnavailableError)
    too_big = sqlite_error("SELECT zeroblob(2000000000)")
    for error in (
        mismatch.value,
        too_big,
        OverflowError("too large"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, ""),
    ):
        assert isinstance(translate(error, "here"), DataRejectedError)
    other.close()
    holder.close()


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (psycopg.errors.NumericValueOutOfRange, DataRejectedError),
        (psycopg.errors.NotNullViolation, DataRejectedError),
        (psycopg.errors.ProgramLimitExceeded, DataRejectedError),
        (psycopg.errors.UniqueViolation, ConflictError),
        (psycopg.errors.DeadlockDetected, ProjectionUnavailableError),
        (psycopg.errors.SerializationFailure, ProjectionUnavailableError),
        (psycopg.errors.LockNotAvailable, ProjectionUnavailableError),
        (psycopg.errors.QueryCanceled, ProjectionUnavailableError),
        (psycopg.errors.AdminShutdown, ProjectionUnavailableError),
        (psycopg.errors.DiskFull, ProjectionUnavailableError),
        (psycopg.errors.ReadOnlySqlTransaction, ProjectionUnavailableError),
        (psycopg.OperationalError, ProjectionUnavailableError),
        (psycopg.DataError, DataRejectedError),
    ],
)
def test_postgres_errors_by_sqlstate(error: type[psycopg.Error], ours: type[Exception]) -> None:
    """Data is refused for good, everything else may work later."""
    assert type(translate(error("reason"), "here")) is ours


async def test_a_cancelled_commit_is_finished(address: str) -> None:
    """A commit whose caller gave up is done or not, as a whole, before the next call runs."""
    store = writer(address)
    await store.start()
    feed = await Feed.of(store)
    batch = feed.batch([Said().outcome(0)])
    task = asyncio.create_task(store.commit(batch))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    after = await store.acquire(LOG, 0, owner="me", lease=None)
    assert after is not None
    assert after.next_offset in {0, 1}
    with pytest.raises(FencedError):
        await store.commit(batch)
    await store.stop()


async def test_stopping_twice_is_harmless(address: str) -> None:
    """Both sides may be stopped again, started or not."""
    for side in (writer(address), SqlProjectionReader(ReadPool(address))):
        await side.stop()
        await side.stop()


async def test_a_large_batch(address: str) -> None:
    """Thousands of records of a few events in one batch."""
    store = writer(address)
    await store.start()
    feed = await Feed.of(store)
    said = [Said(f"e{n % 7}", resource_id=f"v{n % 3}", received=n % 11) for n in range(5_000)]
    result = await feed.push(*said)
    # Of each event the least delivery counts, and it names the same resource.
    assert (result.new_events, result.duplicates, result.entries_changed) == (7, 4993, 1)
    empty = Batch(LOG, 0, feed.checkpoint.epoch, feed.offset, feed.offset, b"", [])
    assert (await store.commit(empty)).entries_changed == 0
    await store.stop()
