"""The SQLite log: the contract, and what only a file can suffer."""

import asyncio
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from consumer.clock import SystemClock
from consumer.errors import LogMismatchError, LogUnavailableError, StopError
from consumer.eventlog.sqlite import SqliteLogAdmin, SqliteProducer, SqliteReader, create_log
from consumer.metrics import Metrics
from consumer.types import NewRecord
from tests.conformance.eventlog import EventLogContract, LogHarness, append_all, numbered, read_count
from tests.manual_clock import ManualClock


class SqliteHarness(LogHarness):
    refused_size = 2 << 20

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "log.db"

    def producer(self, deadline: float = 3.0, max_waiting: int = 20_000) -> SqliteProducer:
        return SqliteProducer(
            self.path,
            clock=SystemClock(),
            metrics=Metrics(),
            deadline=deadline,
            max_waiting=max_waiting,
            max_record_bytes=1 << 20,
        )

    def reader(self) -> SqliteReader:
        return SqliteReader(self.path, clock=SystemClock(), poll_interval=0.005)

    def admin(self) -> SqliteLogAdmin:
        return SqliteLogAdmin(self.path)

    def admin_of_missing_log(self) -> SqliteLogAdmin:
        return SqliteLogAdmin(self.folder / "none.db")


@pytest.fixture
def event_log(tmp_path: Path) -> SqliteHarness:
    create_log(tmp_path / "log.db")
    return SqliteHarness(tmp_path)


class TestSqliteLog(EventLogContract):
    """The contract."""


def _stored(path: Path) -> list[bytes]:
    with closing(sqlite.connect(str(path))) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM records ORDER BY id")]


@contextmanager
def _small_files(size: int) -> Iterator[None]:
    """While it lasts no file may grow over ``size`` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


async def test_makes_the_log_once(tmp_path: Path) -> None:
    """Making a log that exists changes nothing; one made elsewhere has an id of its own."""
    for path in (tmp_path / "deep" / "er" / "log.db", tmp_path / "other.db"):
        create_log(path)
    ids = []
    for path in (tmp_path / "deep" / "er" / "log.db", tmp_path / "other.db"):
        before = path.read_bytes()
        create_log(path)
        assert path.read_bytes() == before
        admin = SqliteLogAdmin(path)
        ids.append((await admin.describe()).log_id)
        await admin.close()
    assert len(set(ids)) == 2


def test_leaves_no_drafts(tmp_path: Path) -> None:
    """Only the log itself is left when it has been made, whoever else made it first."""
    for _ in range(2):
        create_log(tmp_path / "log.db")
    assert [path.name for path in tmp_path.iterdir()] == ["log.db"]


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 40, b""])
async def test_foreign_file(tmp_path: Path, content: bytes) -> None:
    """A file that is no log is left alone, and the error names it."""
    path = tmp_path / "log.db"
    path.write_bytes(content)
    harness = SqliteHarness(tmp_path)
    for part in (harness.producer(), harness.reader()):
        with pytest.raises(StopError, match=r"log\.db"):
            await part.start()
        await part.stop()
    assert path.read_bytes() == content


async def test_foreign_database(tmp_path: Path) -> None:
    """A database of somebody else is left alone."""
    path = tmp_path / "log.db"
    with closing(sqlite.connect(str(path))) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
    before = path.read_bytes()
    harness = SqliteHarness(tmp_path)
    for part in (harness.producer(), harness.reader()):
        with pytest.raises(StopError, match="not binmirror's event log"):
            await part.start()
        await part.stop()
    assert path.read_bytes() == before


async def test_newer_version(event_log: SqliteHarness) -> None:
    """A log that a newer release made is not touched."""
    with closing(sqlite.connect(str(event_log.path))) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StopError, match="version 99"):
        await event_log.producer().start()


async def test_reader_without_a_log(tmp_path: Path) -> None:
    """A reader that comes before the log waits for it: transient, not a reason to stop."""
    reader = SqliteHarness(tmp_path).reader()
    with pytest.raises(LogUnavailableError, match="does not exist"):
        await reader.start()
    create_log(tmp_path / "log.db")
    await reader.start()
    await reader.stop()


async def test_file_deleted_while_in_use(event_log: SqliteHarness) -> None:
    """No append is acknowledged into a file that nobody can find any more, and a ping says so."""
    async with event_log.producing() as producer:
        await producer.append(numbered(1))
        event_log.path.rename(event_log.folder / "elsewhere.db")
        with pytest.raises(LogUnavailableError, match="deleted or moved"):
            await producer.append(numbered(2))
        with pytest.raises(LogUnavailableError, match="deleted or moved"):
            await producer.ping()
        (event_log.folder / "elsewhere.db").rename(event_log.path)
        await producer.append(numbered(3))
    assert numbered(1).value in _stored(event_log.path)
    assert numbered(3).value in _stored(event_log.path)


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
async def test_file_replaced_while_in_use(event_log: SqliteHarness, suffix: str) -> None:
    """Another file in the place of the log, its WAL or its index is noticed before the next answer."""
    victim = event_log.folder / f"log.db{suffix}"
    async with event_log.producing() as producer:
        await producer.append(numbered(1))
        shutil.copyfile(victim, event_log.folder / "copy")
        (event_log.folder / "copy").rename(victim)
        with pytest.raises(LogUnavailableError, match="replaced while in use"):
            await producer.append(numbered(2))


async def test_reader_notices_another_log(event_log: SqliteHarness) -> None:
    """A reader whose file is replaced stops; while it is missing it waits."""
    async with event_log.producing() as producer, event_log.reading() as reader:
        await producer.append(numbered(1))
        await reader.seek(0, 0)
        await read_count(reader, 1)
        event_log.path.rename(event_log.folder / "elsewhere.db")
        with pytest.raises(LogUnavailableError):
            await reader.poll(max_records=1, wait=0)
        create_log(event_log.path)
        with pytest.raises(LogMismatchError, match="replaced"):
            await reader.poll(max_records=1, wait=0)


async def test_removed_records(event_log: SqliteHarness) -> None:
    """Records removed from the log stop the reader instead of being skipped."""
    async with event_log.producing() as producer, event_log.reading() as reader:
        await append_all(producer, map(numbered, range(10)))
        with closing(sqlite.connect(str(event_log.path))) as connection:
            connection.execute("DELETE FROM records WHERE id BETWEEN 1 AND 3 OR id = 6 OR id > 8")
            connection.commit()
        assert (await reader.bounds())[0] == (3, 10)
        for offset in (0, 5, 8):
            await reader.seek(0, offset)
            with pytest.raises(LogMismatchError, match="removed"):
                await reader.poll(max_records=10, wait=0)
        await reader.pause(0)
        assert await reader.read_at(0, 1) is None


async def test_full_disk(event_log: SqliteHarness) -> None:
    """While the disk is full appends fail in time and nothing is lost; afterwards they work again."""
    async with event_log.producing() as producer:
        await producer.append(numbered(1))
        with _small_files(100_000), pytest.raises(LogUnavailableError):
            await producer.append(NewRecord(b"k", bytes(500_000), ()))
        await producer.append(numbered(2))
    assert _stored(event_log.path) == [numbered(1).value, numbered(2).value]


async def test_ping_finds_a_limit(event_log: SqliteHarness) -> None:
    """A limit on the size of files shows in pings from a failed append on, until writing works again."""
    async with event_log.producing() as producer:
        await producer.ping()
        with _small_files(200_000):
            with pytest.raises(LogUnavailableError):
                await producer.append(NewRecord(b"k", bytes(500_000), ()))
            with pytest.raises(LogUnavailableError):
                await producer.ping()
            with pytest.raises(LogUnavailableError):
                await producer.ping()
        await producer.ping()
        await producer.append(numbered(1))
    assert _stored(event_log.path) == [numbered(1).value]


async def test_ping_writes_now_and_then(event_log: SqliteHarness) -> None:
    """Where nothing was written for a while, a ping finds out by a write; but not every ping writes."""
    clock = ManualClock()
    producer = SqliteProducer(event_log.path, clock=clock, metrics=Metrics())
    await producer.start()
    try:
        await producer.ping()
        with _small_files(1000):
            await producer.ping()  # does not write
            clock.advance(10)
            with pytest.raises(LogUnavailableError):
                await producer.ping()
        await producer.ping()
    finally:
        await producer.stop()
    assert _stored(event_log.path) == []


async def test_locked_by_another(event_log: SqliteHarness) -> None:
    """A lock held longer than the deadline is a failure in time; a shorter one is waited for."""
    producer = event_log.producer(deadline=0.5)
    await producer.start()
    with closing(sqlite.connect(str(event_log.path), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(LogUnavailableError, match="locked by another"):
            await producer.append(numbered(1))
        with pytest.raises(LogUnavailableError):
            await producer.ping()
        assert loop.time() - started < 3
        append = asyncio.create_task(producer.append(numbered(2)))
        await asyncio.sleep(0)
        other.execute("ROLLBACK")
        await append
    await producer.stop()
    assert _stored(event_log.path) == [numbered(2).value]


async def test_back_pressure(event_log: SqliteHarness) -> None:
    """More than the queue holds is refused at once, for now; what it holds is stored."""
    producer = event_log.producer(max_waiting=10)
    await producer.start()
    answers = await asyncio.gather(*(producer.append(numbered(n)) for n in range(15)), return_exceptions=True)
    await producer.stop()
    assert [isinstance(answer, LogUnavailableError) for answer in answers] == [False] * 10 + [True] * 5
    assert len(_stored(event_log.path)) == 10


async def test_wal_stays_small(event_log: SqliteHarness) -> None:
    """The WAL does not grow with what is appended, although readers read all the time."""
    value = os.urandom(100_000)
    async with event_log.producing() as producer, event_log.reading() as reader:
        await reader.seek(0, 0)
        for _ in range(20):
            await append_all(producer, [NewRecord(b"k", value, ())] * 20)
            await read_count(reader, 20)
        assert (event_log.folder / "log.db-wal").stat().st_size < 12 << 20
    assert event_log.path.stat().st_size > 40_000_000
