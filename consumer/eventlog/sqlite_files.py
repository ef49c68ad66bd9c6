"""SQLite files of the event log and the spool: made, recognised, watched, kept small.

``pysqlite3`` and never the standard library's module, whose SQLite may bear the WAL-reset bug.
"""

import os
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote

from pysqlite3 import dbapi2 as sqlite

from consumer.errors import LogUnavailableError, StopError

Connection: TypeAlias = Any
"""A connection of ``pysqlite3``, which has no types."""

SQLITE_VERSION: Final[str] = sqlite.sqlite_version
SqliteError: Final = sqlite.Error

_PAGE_SIZE: Final = 16_384
"""Several deliveries of 2 KB share a page: half the bytes to write that 4 KiB pages need."""
_CHECKPOINT_BYTES: Final = 4 << 20
"""Written by us between two checkpoints: each takes some 5 ms, in which appends wait."""
_WAL_LIMIT: Final = 64 << 20
"""Above it (readers or other writers kept the WAL from starting over) a checkpoint insists."""
_INSIST_MS: Final = 200
_FREE_BYTES: Final = 1 << 20
_BUSY, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 5, 8, 10, 11, 13, 14, 26


class FileKind(NamedTuple):
    """What a file of ours is, as marked in its header."""

    title: str
    application_id: int
    version: int
    schema: Sequence[str]
    """Statements; all kinds get the table ``meta`` with the file's UUID besides."""


class FileNumbers(NamedTuple):
    """Which files a path names now: (device, inode) of the database, its WAL and its index."""

    database: tuple[int, int]
    wal: tuple[int, int]
    shared: tuple[int, int]


def create_file(path: Path, kind: FileKind) -> None:
    """Make the file unless there is one already; then do nothing. Safe in many processes at once.

    It is made under another name and linked when complete, so nobody ever sees half of it.

    Raises:
        LogUnavailableError: it cannot be made here (disk full, no permission).

    """
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite.connect(str(draft), isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
            connection.execute("INSERT INTO meta VALUES ('uuid', ?)", (str(uuid.uuid4()),))
            for statement in kind.schema:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {kind.application_id}")
            connection.execute(f"PRAGMA user_version = {kind.version}")
            connection.execute("COMMIT")
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was faster: its file counts
        for directory in (path.parent, path.parent.parent):
            _sync_directory(directory)
    except (OSError, sqlite.Error) as error:
        raise LogUnavailableError(f"cannot make the {kind.title} {path}: {error}") from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{draft}{suffix}").unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_file(path: Path, kind: FileKind, *, write: bool, busy: float) -> tuple[Connection, FileNumbers]:
    """A connection to an existing file, and which files it uses. Readers can write nothing at all.

    Raises:
        LogUnavailableError: there is none, or it cannot be opened now.
        StopError: it is no such file, damaged, or of a newer version.

    """
    connection: Connection = None
    try:
        before = database_number(path)
        connection = sqlite.connect(
            f"file:{quote(str(path))}?mode={'rw' if write else 'ro'}",
            uri=True,
            isolation_level=None,
            timeout=busy,
        )
        _recognise(connection, path, kind)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        numbers = file_numbers(path)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite.Error | OSError):
            raise explain(error, path, kind) from error
        raise
    if numbers.database != before:
        connection.close()
        raise LogUnavailableError(f"the {kind.title} {path} was replaced while it was being opened")
    return connection, numbers


def _recognise(connection: Connection, path: Path, kind: FileKind) -> None:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    if application_id != kind.application_id:
        raise StopError(
            f"{path} is not binmirror's {kind.title} (application id {application_id:#x}, expected "
            f"{kind.application_id:#x}); name another file, or move this one away"
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != kind.version:
        raise StopError(
            f"the {kind.title} {path} has version {version}, this binmirror knows version {kind.version}: "
            "install the release that wrote it, or a newer one"
        )
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        raise StopError(
            f"the {kind.title} {path} is in journal mode {mode!r}: somebody changed it. "
            "Set it back with `PRAGMA journal_mode = WAL` while nothing uses the file"
        )


def file_uuid(connection: Connection) -> str:
    """The UUID that the file got when it was made; copies share it."""
    return str(connection.execute("SELECT value FROM meta WHERE name = 'uuid'").fetchone()[0])


def file_numbers(path: Path) -> FileNumbers:
    """Raises OSError when one of them is missing."""
    return FileNumbers(database_number(path), _number(f"{path}-wal"), _number(f"{path}-shm"))


def database_number(path: Path) -> tuple[int, int]:
    """Raises OSError when it is missing."""
    return _number(path)


def _number(path: Path | str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - three of them after every commit; Path.stat costs double
    return status.st_dev, status.st_ino


def explain(error: BaseException, path: Path, kind: FileKind) -> LogUnavailableError | StopError:
    """What an error of SQLite or the file system means for the one who wanted something of the file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    what = f"the {kind.title} {path}"
    if code in {_CORRUPT, _NOTADB}:
        return StopError(f"{what} is damaged or no database ({error}): put a backup in its place")
    if code == _BUSY:
        return LogUnavailableError(f"{what} is locked by another process for too long")
    if code == _FULL:
        return LogUnavailableError(f"the disk of {what} is full")
    if code == _READONLY:
        return LogUnavailableError(f"{what} cannot be written: file or file system is read-only")
    if isinstance(error, FileNotFoundError) or (code == _CANTOPEN and not path.exists()):
        return LogUnavailableError(f"{what} does not exist; the receiver makes it when it starts")
    hint = "disk trouble" if code == _IOERR else "not available"
    return LogUnavailableError(f"{what}: {hint} ({error})")


class WritableFile:
    """The one writing connection of this process to a file. Everything happens on one thread.

    Made and opened when first needed, so that a disk that comes back is used again.
    """

    def __init__(self, path: Path, kind: FileKind, *, busy: float) -> None:
        self.path = path
        self.kind = kind
        self._busy = busy
        self._connection: Connection = None
        self._numbers: FileNumbers | None = None
        self._written = 0

    def connection(self) -> Connection:
        """Raises LogUnavailableError, StopError."""
        if self._connection is None:
            known = self._numbers
            if known is None:
                create_file(self.path, self.kind)
            connection, numbers = open_file(self.path, self.kind, write=True, busy=self._busy)
            if known is not None and numbers.database != known.database:
                connection.close()
                raise self._replaced()
            self._connection, self._numbers = connection, numbers
        return self._connection

    def same_file(self) -> None:
        """Make sure that what was committed lies where others will look for it.

        Raises:
            LogUnavailableError: database, WAL or index were deleted or replaced under us.

        """
        try:
            numbers = file_numbers(self.path)
        except OSError as error:
            raise LogUnavailableError(
                f"the {self.kind.title} {self.path} was deleted or moved while in use ({error}): put it back "
                "with its -wal and -shm files, or restart binmirror"
            ) from error
        if numbers != self._numbers:
            raise self._replaced()

    def _replaced(self) -> LogUnavailableError:
        return LogUnavailableError(
            f"the {self.kind.title} {self.path} was replaced while in use: nothing more is written to it "
            "before binmirror is restarted"
        )

    def failed(self, error: BaseException) -> LogUnavailableError | StopError:
        """Take back what an open transaction holds, and say what the error means."""
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite.Error:
                self._connection.close()  # which rolls back too; the next use opens it again
                self._connection = None
        return explain(error, self.path, self.kind)

    def probe(self) -> None:
        """Find out whether a commit would work, without one. Raises LogUnavailableError, StopError."""
        try:
            connection = self.connection()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            self.same_file()
            space = os.statvfs(self.path)
        except (sqlite.Error, OSError) as error:
            raise self.failed(error) from error
        if space.f_bavail * space.f_frsize < _FREE_BYTES:
            raise LogUnavailableError(f"the disk of the {self.kind.title} {self.path} is full")

    def wrote(self, size: int) -> None:
        """Count a commit of ``size`` bytes of content, for ``tidy``."""
        self._written += size + _PAGE_SIZE  # the last page is written again by each commit

    def tidy(self) -> None:
        """Move the WAL's content into the database when enough was written; run between transactions.

        On this thread nothing is written meanwhile, so the WAL is moved whole and starts over with
        the next commit. Readers read in short transactions; should they or other processes have
        kept it growing all the same, wait for them a moment.
        """
        if self._written < _CHECKPOINT_BYTES or self._connection is None:
            return
        self._written = 0
        try:
            _, frames, _ = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if frames * _PAGE_SIZE > _WAL_LIMIT:
                self._insist()
        except sqlite.Error:
            return  # nothing is lost, the WAL only grows: the next one will do, or appends will say why not

    def _insist(self) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {_INSIST_MS}")
        try:
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(self._busy * 1000)}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
