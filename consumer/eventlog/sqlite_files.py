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

PAGE_SIZE: Final = 16_384
"""Several deliveries of 2 KB share a page: half the bytes to write that 4 KiB pages need."""
WAL_LIMIT: Final = 64 << 20
"""A WAL above it was kept from starting over, by readers or other writers."""
_SCRATCH_CACHE_KIB: Final = 65_536
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
        try:
            _make(draft, kind)
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was faster: its file counts
        finally:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{draft}{suffix}").unlink(missing_ok=True)
        for directory in (path.parent, path.parent.parent):
            _sync_directory(directory)
    except (OSError, sqlite.Error) as error:
        raise LogUnavailableError(f"cannot make the {kind.title} {path}: {error}") from error


def _make(path: Path, kind: FileKind) -> None:
    # SQLite gives its other files the rights of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite.connect(str(path), isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
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
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
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


def open_scratch(path: Path) -> Connection:
    """A database that nobody needs once it is closed, in a file of its own: fast, and bounded in memory.

    SQLite's own temporary databases would be in memory altogether: the driver is built that way.
    """
    connection = sqlite.connect(str(path), isolation_level=None, check_same_thread=False)
    for setting in ("locking_mode = EXCLUSIVE", "journal_mode = OFF", "synchronous = OFF"):
        connection.execute(f"PRAGMA {setting}")
    connection.execute(f"PRAGMA cache_size = -{_SCRATCH_CACHE_KIB}")
    return connection


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
    hint = "disk trouble, a quota or a limit on the size of files" if code == _IOERR else "not available"
    return LogUnavailableError(f"{what}: {hint} ({error})")
