"""The file of a spool: records waiting for the log, and those that the log refuses. On one thread."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from consumer.clock import Clock
from consumer.errors import StopError
from consumer.eventlog.packing import pack_rows, unpack_headers
from consumer.eventlog.sqlite_files import (
    Connection,
    FileKind,
    SqliteError,
    explain,
    open_file,
)
from consumer.eventlog.writable_file import WritableFile
from consumer.types import NewRecord
from schemas.times import Micros

SPOOL_FILE: Final = FileKind(
    title="spool",
    application_id=0x626D7370,
    version=1,
    schema=(
        """
        CREATE TABLE waiting (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            partition INTEGER NOT NULL,
            spooled_at INTEGER NOT NULL,
            reason TEXT NOT NULL,
            key BLOB NOT NULL,
            headers BLOB NOT NULL,
            value BLOB NOT NULL
        )
        """,
        "CREATE INDEX waiting_partition ON waiting (partition)",
        """
        CREATE TABLE set_aside (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            partition INTEGER NOT NULL,
            spooled_at INTEGER NOT NULL,
            reason TEXT NOT NULL,
            key BLOB NOT NULL,
            headers BLOB NOT NULL,
            value BLOB NOT NULL
        )
        """,
        # Kept in the transactions that change the other two: looking at it costs the same however many wait.
        """
        CREATE TABLE counts (
            shelf TEXT NOT NULL, partition INTEGER NOT NULL, records INTEGER NOT NULL,
            PRIMARY KEY (shelf, partition)
        ) WITHOUT ROWID
        """,
    ),
)

Shelf: TypeAlias = Literal["waiting", "set_aside"]


class SpoolRow(NamedTuple):
    """A record to keep."""

    shelf: Shelf
    partition: int
    spooled_at: Micros
    reason: str
    key: bytes
    headers: bytes
    value: bytes


class WaitingRecord(NamedTuple):
    """A record that waits for the log."""

    id: int
    record: NewRecord


class SetAsideRecord(NamedTuple):
    """A record that the log refuses for good."""

    id: int
    partition: int
    spooled_at: Micros
    reason: str
    record: NewRecord


class SpoolCounts(NamedTuple):
    """What a spool holds."""

    waiting: Mapping[int, int]
    """Partition → records; partitions without any are left out."""
    set_aside: int

    @property
    def pending(self) -> int:
        """Records waiting."""
        return sum(self.waiting.values())


EMPTY: Final = SpoolCounts({}, 0)

_RECORD_BYTES: Final = 3000
"""What a record needs in the file, roughly."""
_INSERT: Final = (
    "INSERT INTO {shelf} (partition, spooled_at, reason, key, headers, value) SELECT "
    "r.value ->> 0, r.value ->> 1, r.value ->> 2, substr(?1, r.value ->> 3, r.value ->> 4), "
    "substr(?1, r.value ->> 5, r.value ->> 6), substr(?1, r.value ->> 7, r.value ->> 8) "
    "FROM jsonb_each(?2) AS r"
)
_COUNT: Final = (
    "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET records = records + excluded.records"
)
_TAKE: Final = "SELECT id, key, value, headers FROM waiting WHERE partition = ? ORDER BY id LIMIT ?"
_DELETE: Final = "DELETE FROM waiting WHERE id IN (SELECT value FROM json_each(?))"
_SET_ASIDE: Final = (
    "INSERT INTO set_aside (partition, spooled_at, reason, key, headers, value) "
    "SELECT partition, spooled_at, ?, key, headers, value FROM waiting WHERE id = ?"
)
_WAIT_AGAIN: Final = (
    "INSERT INTO waiting (partition, spooled_at, reason, key, headers, value) "
    "SELECT partition, spooled_at, reason, key, headers, value FROM set_aside "
    "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
)
_NO_LONGER_ASIDE: Final = (
    "DELETE FROM set_aside WHERE id IN (SELECT value FROM json_each(?)) RETURNING partition"
)
_LIST: Final = (
    "SELECT id, partition, spooled_at, reason, key, value, headers FROM set_aside "
    "WHERE id > ? ORDER BY id LIMIT ?"
)


def storable(text: str) -> str:
    """``text`` as UTF-8 can hold it."""
    return text.encode(errors="backslashreplace").decode()


def read_counts(path: Path) -> SpoolCounts | None:
    """What a spool holds, for onlookers; None when there is none.

    Raises:
        LogUnavailableError: it cannot be read now.
        StopError: another kind of file lies there.

    """
    if not path.exists():
        return None
    connection, _ = open_file(path, SPOOL_FILE, write=False, busy=1.0)
    try:
        return _counts(connection)
    except SqliteError as error:
        raise explain(error, path, SPOOL_FILE) from error
    finally:
        connection.close()


def _counts(connection: Connection) -> SpoolCounts:
    found = connection.execute("SELECT shelf, partition, records FROM counts WHERE records > 0").fetchall()
    return SpoolCounts(
        {partition: records for shelf, partition, records in found if shelf == "waiting"},
        sum(records for shelf, _, records in found if shelf == "set_aside"),
    )


class SpoolFile(WritableFile):
    """All that is done to a spool's file. Raises LogUnavailableError and StopError throughout."""

    def __init__(self, path: Path, *, busy: float, clock: Clock) -> None:
        super().__init__(path, SPOOL_FILE, busy=busy, clock=clock)

    def keep(self, rows: Sequence[SpoolRow]) -> int:
        """Commit ``rows``. Returns how many."""
        with self._transaction() as connection:
            for shelf in ("waiting", "set_aside"):
                chosen = [row for row in rows if row.shelf == shelf]
                if chosen:
                    blob, spec = pack_rows((row[1:4], row[4:]) for row in chosen)
                    connection.execute(_INSERT.format(shelf=shelf), (blob, spec))
                    self.wrote(len(blob))
                    for partition, count in Counter(row.partition for row in chosen).items():
                        connection.execute(_COUNT, (shelf, partition, count))
        return len(rows)

    def counts(self) -> SpoolCounts:
        try:
            return _counts(self.connection())
        except SqliteError as error:
            raise self.failed(error) from error

    def take(self, partition: int, limit: int, max_bytes: int) -> list[WaitingRecord]:
        """The longest waiting records of ``partition``: at most ``limit``, and no more content than that."""
        taken: list[WaitingRecord] = []
        size = 0
        with self._reading(_TAKE, (partition, limit)) as cursor:
            for number, key, value, headers in cursor:
                size += len(value)
                if taken and size > max_bytes:
                    break
                taken.append(WaitingRecord(number, NewRecord(key, value, unpack_headers(headers))))
        return taken

    def settle(self, partition: int, relayed: Sequence[int], refused: Mapping[int, str]) -> None:
        """Drop the ``relayed`` ids and put the ``refused`` ones (id → reason) on the other shelf."""
        with self._transaction() as connection:
            moved = sum(
                connection.execute(_SET_ASIDE, (storable(reason), number)).rowcount
                for number, reason in refused.items()
            )
            ids = json.dumps([*relayed, *refused])
            removed = connection.execute(_DELETE, (ids,)).rowcount
            connection.execute(_COUNT, ("waiting", partition, -removed))
            connection.execute(_COUNT, ("set_aside", partition, moved))
        # A record leaves about as much in the WAL when it goes as when it came.
        self.wrote(_RECORD_BYTES * (len(relayed) + len(refused)))
        self.tidy()

    def wait_again(self, ids: Sequence[int]) -> int:
        """Have records that were set aside wait for the log once more. Returns how many there were."""
        with self._transaction() as connection:
            chosen = json.dumps(list(ids))
            connection.execute(_WAIT_AGAIN, (chosen,))
            partitions = Counter(row[0] for row in connection.execute(_NO_LONGER_ASIDE, (chosen,)).fetchall())
            for partition, count in partitions.items():
                connection.execute(_COUNT, ("set_aside", partition, -count))
                connection.execute(_COUNT, ("waiting", partition, count))
        return partitions.total()

    def list_set_aside(self, after: int, limit: int) -> list[SetAsideRecord]:
        """In the order of their ids, from the one after ``after`` on."""
        with self._reading(_LIST, (after, limit)) as cursor:
            return [
                SetAsideRecord(
                    number, partition, spooled_at, reason, NewRecord(key, value, unpack_headers(headers))
                )
                for number, partition, spooled_at, reason, key, value, headers in cursor
            ]

    @contextmanager
    def _reading(self, query: str, parameters: tuple[int, ...]) -> Iterator[Iterable[Any]]:
        try:
            cursor = self.connection().execute(query, parameters)
            try:
                yield cursor
            finally:
                cursor.close()  # ends the read transaction, which would keep the WAL from starting over
        except SqliteError as error:
            raise self.failed(error) from error
        except ValueError as error:
            raise StopError(
                f"the spool {self.path} is damaged ({error}): move it away and look into it"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            connection = self.connection()
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            explained = self.failed(error)
            if isinstance(error, SqliteError):
                raise explained from error
            raise
        self.same_file()
