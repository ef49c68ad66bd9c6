"""A SQLite file that this process writes: watched, and its WAL kept small."""

import os
from pathlib import Path
from typing import Final

from consumer.clock import Clock
from consumer.errors import LogUnavailableError, StopError
from consumer.eventlog.sqlite_files import (
    PAGE_SIZE,
    WAL_LIMIT,
    Connection,
    FileKind,
    FileNumbers,
    SqliteError,
    create_file,
    explain,
    file_numbers,
    open_file,
)

_CHECKPOINT_BYTES: Final = 4 << 20
"""Written by us between two checkpoints: each takes some 5 ms, in which appends wait."""
_INSIST_MS: Final = 200
_FREE_BYTES: Final = 1 << 20
_PROVE_EVERY: Final = 5.0
"""Seconds between two writes that only find out whether a write works."""
_PROOF: Final = "REPLACE INTO meta VALUES ('probe', hex(randomblob(?)))"
"""Random: SQLite does not write what is there already."""


class WritableFile:
    """The one writing connection of this process to a file. Everything happens on one thread.

    Made and opened when first needed, so that a disk that comes back is used again.
    """

    def __init__(self, path: Path, kind: FileKind, *, busy: float, clock: Clock) -> None:
        self.path = path
        self.kind = kind
        self._busy = busy
        self._clock = clock
        self._doubtful = False  # the last write failed
        self._prove_at = 0.0
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
        self._doubtful = True
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except SqliteError:
                self._connection.close()  # which rolls back too; the next use opens it again
                self._connection = None
        return explain(error, self.path, self.kind)

    def probe(self) -> None:
        """Find out whether a commit would work. Raises LogUnavailableError, StopError.

        A quota, or a limit on the size of files, shows in nothing but a write. So one is made now and then,
        and after a write that failed: a large one each time, as long as it takes to be sure.
        """
        try:
            connection = self.connection()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            if self._doubtful or self._clock.monotonic() >= self._prove_at:
                self._prove(connection)
            self.same_file()
            space = os.statvfs(self.path)
        except (SqliteError, OSError) as error:
            raise self.failed(error) from error
        if space.f_bavail * space.f_frsize < _FREE_BYTES:
            raise LogUnavailableError(f"the disk of the {self.kind.title} {self.path} is full")

    def _prove(self, connection: Connection) -> None:
        if self._doubtful:
            connection.execute(_PROOF, (_FREE_BYTES // 2,))  # two digits a byte
            self.wrote(_FREE_BYTES)
        connection.execute(_PROOF, (8,))  # gives the room back
        self.wrote(0)
        self.tidy()

    def wrote(self, size: int) -> None:
        """Count a commit of ``size`` bytes of content, for ``tidy`` and ``probe``."""
        self._doubtful = False
        self._prove_at = self._clock.monotonic() + _PROVE_EVERY
        self._written += size + PAGE_SIZE  # the last page is written again by each commit

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
            if frames * PAGE_SIZE > WAL_LIMIT:
                self._insist()
        except SqliteError:
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
