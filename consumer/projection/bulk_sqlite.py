"""Batch writes into SQLite: ``executemany`` on the driver's own connection, under the write lock."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table

from consumer.errors import DataRejectedError
from consumer.projection.bulk import KeyedSelect, KeyedUpdate
from consumer.projection.rows import Row


class SqliteBulk:
    """See ``Bulk``. Whoever holds it holds the write lock: nobody else inserts or changes rows meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._driver: Any = connection.connection.driver_connection

    def select(self, what: KeyedSelect, keys: Sequence[tuple[str, ...]]) -> list[Any]:
        statement = _select(what)
        execute = self._driver.cursor().execute
        return [row for key in keys for row in execute(statement, key)]

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        self._write(_insert(table), rows)

    def update(self, what: KeyedUpdate, rows: Sequence[Row]) -> None:
        self._write(_update(what), rows)

    def _write(self, statement: str, rows: Sequence[Row]) -> None:
        for row in rows:
            # SQLite would take it, and then end the text there in some of its functions.
            if any(value.__class__ is str and "\0" in value for value in row):
                raise DataRejectedError("a text holds NUL")
        self._driver.executemany(statement, rows)


@cache
def _select(what: KeyedSelect) -> str:
    columns = ", ".join(f't."{column}"' for column in what.columns)
    conditions = [f't."{column}" = ?' for column in what.key]
    if what.condition:
        conditions.append(what.condition)
    return f"SELECT {columns} FROM {what.table.name} t WHERE {' AND '.join(conditions)}"  # noqa: S608 - only names from our own tables


@cache
def _insert(table: Table) -> str:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    marks = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {table.name} ({columns}) VALUES ({marks})"  # noqa: S608 - only names from our own tables


@cache
def _update(what: KeyedUpdate) -> str:
    values = ", ".join(f'"{column}" = ?' for column in what.columns)
    conditions = " AND ".join(f'"{column}" = ?' for column in what.key)
    return f"UPDATE {what.table.name} SET {values} WHERE {conditions}"  # noqa: S608 - only names from our own tables
