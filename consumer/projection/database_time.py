"""The database's clock in SQL: one clock for all workers, whatever their machines think."""

from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, and_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from schemas.times import SECOND


class DatabaseNow(FunctionElement[int]):
    """Microseconds since the Unix epoch when the statement runs (SQLite: to the millisecond)."""

    type = BigInteger()
    inherit_cache = True


@compiles(DatabaseNow, "sqlite")
def _of_sqlite(_element: DatabaseNow, _compiler: Any, **_options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own signature
    return "CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)"


@compiles(DatabaseNow, "postgresql")
def _of_postgres(_element: DatabaseNow, _compiler: Any, **_options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own signature
    # Not now(): that is when the transaction began, before it waited for the row.
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


LONGEST_LEASE: Final = 120
"""Seconds. A lease that has longer to go was given before the clock was set back, and counts for nothing."""


def holds(until: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether a lease until then holds now."""
    return and_(until >= DatabaseNow(), until <= DatabaseNow() + LONGEST_LEASE * SECOND)
