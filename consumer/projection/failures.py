"""What a database's error means for us: data refused, or trouble that may pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import exc

from consumer.errors import (
    BinmirrorError,
    DataRejectedError,
    ProjectionUnavailableError,
    SchemaMismatchError,
    StopError,
)

MIGRATE: Final = "run `binmirror migrate` (with the same settings)"

_REFUSED_CLASSES: Final = ("22", "23", "54")
"""SQLSTATE classes: data exception, integrity violation, program limit (an index row too large)."""
_NO_SCHEMA: Final = ("42P01", "42703", "3F000")
"""Undefined table, undefined column, invalid schema."""
_SQLITE_REFUSED: Final = frozenset(
    {
        sqlite.SQLITE_CONSTRAINT,
        18,  # SQLITE_TOOBIG
        20,  # SQLITE_MISMATCH
        25,  # SQLITE_RANGE
    }
)
_SQLITE_DAMAGED: Final = frozenset({11, 26})
"""SQLITE_CORRUPT, SQLITE_NOTADB."""
READ_ONLY: Final = "25006"
"""SQLSTATE: read_only_sql_transaction. A session keeps being so; a new one may find a server that is not."""


class ConflictError(BinmirrorError):
    """Another transaction inserted a row that this one was about to insert: do the batch over."""


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Raise our errors for a database's; ``shown`` is its address without credentials."""
    try:
        yield
    except (OverflowError, UnicodeError) as error:
        # The driver cannot even bind the value: an integer over 64 bits, a lone surrogate.
        raise DataRejectedError(f"{shown} cannot hold a value: {error}") from error
    except (exc.SQLAlchemyError, psycopg.Error, sqlite.Error) as error:
        raise translate(error, shown) from error


def translate(error: BaseException, shown: str) -> BinmirrorError:
    """Our error for ``error``."""
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        return translate(error.orig, shown)
    if isinstance(error, (OverflowError, UnicodeError)):
        return DataRejectedError(f"{shown} cannot hold a value: {error}")
    reason = f"{shown}: {' '.join(str(error).split())}"
    if isinstance(error, psycopg.Error):
        return _of_postgres(error, reason)
    if isinstance(error, sqlite.Error):
        return _of_sqlite(error, reason)
    return ProjectionUnavailableError(reason)


def _of_postgres(error: psycopg.Error, reason: str) -> BinmirrorError:
    state = error.sqlstate
    if isinstance(error, psycopg.errors.UniqueViolation):
        return ConflictError(reason)
    if state is None:
        # Without a SQLSTATE it comes from the driver: a value that it cannot send, or the connection.
        refused = isinstance(error, psycopg.DataError)
        return DataRejectedError(reason) if refused else ProjectionUnavailableError(reason)
    if state.startswith(_REFUSED_CLASSES):
        return DataRejectedError(reason)
    if state in _NO_SCHEMA:
        return SchemaMismatchError(f"{reason}; {MIGRATE} and start again")
    return ProjectionUnavailableError(reason)


def _of_sqlite(error: sqlite.Error, reason: str) -> BinmirrorError:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _SQLITE_REFUSED:
        return DataRejectedError(reason)
    if code is not None and code & 0xFF in _SQLITE_DAMAGED:
        return StopError(
            f"{reason}: the file is damaged, or no database. Stop what uses it, then put a backup in its "
            "place; or move it away, with its -wal and -shm files: the event log's content is mirrored anew"
        )
    if code is None and isinstance(error, (sqlite.DataError, sqlite.InterfaceError, sqlite.IntegrityError)):
        return DataRejectedError(reason)
    if "no such table" in str(error) or "no such column" in str(error):
        return SchemaMismatchError(f"{reason}; {MIGRATE} and start again")
    return ProjectionUnavailableError(reason)
