"""The file of a SQLite event log: one table, written and read by these two, each on one thread.

One partition, 0; the offset of a record is its rowid - 1. ``AUTOINCREMENT`` never uses a number
twice and a failed transaction gives its numbers back, so offsets have no gaps.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from consumer.clock import Clock
from consumer.errors import LogMismatchError, LogUnavailableError, StopError
from consumer.eventlog.packing import pack_rows, unpack_headers
from consumer.eventlog.sqlite_files import (
    SQLITE_VERSION,
    Connection,
    FileKind,
    SqliteError,
    create_file,
    database_number,
    explain,
    file_uuid,
    open_file,
)
from consumer.eventlog.writable_file import WritableFile
from consumer.types import Bounds, Record

PARTITION: Final = 0
LOG_FILE: Final = FileKind(
    title="event log",
    application_id=0x626D6C67,
    version=1,
    schema=(
        """
        CREATE TABLE records (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            key BLOB NOT NULL,
            headers BLOB NOT NULL,
            value BLOB NOT NULL
        )
        """,
    ),
)
LogRow: TypeAlias = tuple[bytes, bytes, bytes]
"""Key, packed headers, value."""

_INSERT: Final = (
    "INSERT INTO records (key, headers, value) SELECT "
    "substr(?1, r.value ->> 0, r.value ->> 1), substr(?1, r.value ->> 2, r.value ->> 3), "
    "substr(?1, r.value ->> 4, r.value ->> 5) FROM jsonb_each(?2) AS r"
)
_SELECT: Final = "SELECT id, key, value, headers FROM records WHERE id > ? ORDER BY id LIMIT ?"
_END: Final = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'records'"
_FIRST: Final = "SELECT min(id) FROM records"
_POLL_BYTES: Final = 32 << 20
"""One fetch brings no more content than this (and one record), however many records it may bring."""


def create_log(path: Path) -> None:
    """Make an empty log unless there is one already. Raises LogUnavailableError."""
    create_file(path, LOG_FILE)


class LogWriter(WritableFile):
    """Appends rows."""

    def __init__(self, path: Path, *, busy: float, clock: Clock) -> None:
        super().__init__(path, LOG_FILE, busy=busy, clock=clock)

    def write(self, rows: Sequence[LogRow]) -> int:
        """Commit ``rows`` and return the offset of the first. Raises LogUnavailableError, StopError."""
        try:
            connection = self.connection()
            blob, spec = pack_rows(((), row) for row in rows)
            # One statement outside a transaction is a transaction.
            cursor = connection.execute(_INSERT, (blob, spec))
        except SqliteError as error:
            raise self.failed(error) from error
        self.same_file()
        self.wrote(len(blob))
        return int(cursor.lastrowid) - len(rows)


class LogFile:
    """Reads a log through a connection that can write nothing, in transactions of one statement."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uuid = ""
        self._connection: Connection = None
        self._number = (0, 0)

    def open(self) -> None:
        """Raises LogUnavailableError (also when there is no file), StopError."""
        self._connection, numbers = open_file(self.path, LOG_FILE, write=False, busy=1.0)
        self._number = numbers.database
        self.uuid = file_uuid(self._connection)

    def fetch(self, offset: int, limit: int) -> list[Record]:
        """Up to ``limit`` records from ``offset`` on, contiguous; none when that is the end.

        Raises:
            LogUnavailableError: the file is away.
            LogMismatchError: there is nothing at ``offset``, nor will the next record be there.

        """
        try:
            self._same_log()
            records = self._read(offset, limit)
            if not records:
                self._expect_end(offset)
        except (SqliteError, OSError, ValueError) as error:
            raise self._explain(error) from error
        return records

    def bounds(self) -> Bounds:
        """Raises LogUnavailableError, StopError."""
        try:
            self._same_log()
            end = int(self._connection.execute(_END).fetchone()[0])
            first = self._connection.execute(_FIRST).fetchone()[0]
        except (SqliteError, OSError) as error:
            raise self._explain(error) from error
        return Bounds(end if first is None else int(first) - 1, end)

    def details(self) -> dict[str, str | int | bool]:
        """For operators. Raises LogUnavailableError."""
        try:
            wal = Path(f"{self.path}-wal")
            return {
                "sqlite_version": SQLITE_VERSION,
                "schema_version": LOG_FILE.version,
                "file_bytes": self.path.stat().st_size,
                "wal_bytes": wal.stat().st_size if wal.exists() else 0,
            }
        except OSError as error:
            raise self._explain(error) from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self, offset: int, limit: int) -> list[Record]:
        records: list[Record] = []
        size = 0
        expected = offset
        cursor = self._connection.execute(_SELECT, (offset, limit))
        try:
            for number, key, value, headers in cursor:
                if number != expected + 1:
                    raise LogMismatchError(
                        f"the event log {self.path} has no record at offset {expected} but one at "
                        f"{number - 1}: records were removed from it. Put the whole log back"
                    )
                records.append(Record(PARTITION, expected, key, value, unpack_headers(headers)))
                expected += 1
                size += len(value) + len(headers)
                if size > _POLL_BYTES:
                    break
        finally:
            cursor.close()  # ends the read transaction, which would keep the WAL from starting over
        return records

    def _expect_end(self, offset: int) -> None:
        end = int(self._connection.execute(_END).fetchone()[0])
        if offset > end:
            raise LogMismatchError(
                f"the event log {self.path} ends at offset {end}, before position {offset}: an older copy "
                "was put back, or another log. Put the right one back, or rebuild the projection"
            )
        if offset < end and not self._read(offset, 1):
            raise LogMismatchError(
                f"the event log {self.path} holds no records from offset {offset} on, although it ends at "
                f"{end}: records were removed from it. Put the whole log back"
            )

    def _same_log(self) -> None:
        if self._connection is None:
            raise LogUnavailableError(f"the event log {self.path} is not open")
        if database_number(self.path) != self._number or file_uuid(self._connection) != self.uuid:
            raise LogMismatchError(
                f"the event log {self.path} was replaced while in use: restart binmirror, which then checks "
                "whether it is the log that the projection was made from"
            )

    def _explain(self, error: Exception) -> LogUnavailableError | StopError:
        if isinstance(error, ValueError):
            return StopError(f"the event log {self.path} is damaged ({error}): put a backup in its place")
        return explain(error, self.path, LOG_FILE)
