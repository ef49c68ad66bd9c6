"""Several statements that see one state of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection

_BEGIN: Final = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """A short read transaction on a connection whose statements are otherwise each on their own."""
    connection.exec_driver_sql(_BEGIN[connection.dialect.name])
    try:
        yield
    except BaseException:
        connection.invalidate()  # it may be broken: not one for the next to find in a transaction
        raise
    connection.exec_driver_sql("COMMIT")
