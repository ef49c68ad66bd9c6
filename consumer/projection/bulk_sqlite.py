"""Batch writes into SQLite: ``executemany`` on the driver's own connection, under the write lock."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table, Text

from consumer.errors import DataRejectedError
from consumer.projection.bulk import KeyedSelect, KeyedUpdate
from consumer.projection.rows import Row


class SqliteBulk:
    """See ``Bulk``. Whoever holds it holds the write lock: nobody else inserts or changes rows meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._driver: Any = connection.connection.driver_connection

    def select(self, what: KeyedSelect, keys: Sequence[tuple[str, ...]]) -> list[Any]:
        return list(self._driver.execute(_select(what), (json.dumps(keys, ensure_ascii=False),)))

    def insert(self, table: Table, rows: Iterable[Row]) -> int:
        return self._write(_insert(table), rows, tuple(table.columns.keys()), table)

    def update(self, what: KeyedUpdate, rows: Sequence[Row]) -> None:
        self._write(_update(what), rows, (*what.columns, *what.key), what.table)

    def _write(self, statement: str, rows: Iterable[Row], columns: tuple[str, ...], table: Table) -> int:
        cursor = self._driver.executemany(statement, _checked(rows, _texts(table, columns)))
        return max(0, int(cursor.rowcount))  # -1: there were no rows


def _checked(rows: Iterable[Row], texts: Callable[[Row], Iterable[str | None]]) -> Iterator[Row]:
    # SQLite would take NUL, and then end the text there in some of its functions.
    for row in rows:
        if "\0" in "".join(filter(None, texts(row))):
            raise DataRejectedError("a text holds NUL")
        yield row


@cache
def _texts(table: Table, columns: tuple[str, ...]) -> Callable[[Row], Iterable[str | None]]:
    """What takes the texts out of a row of these columns."""
    return itemgetter(*(index for index, name in enumerate(columns) if isinstance(table.c[name].type, Text)))


@cache
def _select(what: KeyedSelect) -> str:
    columns = ", ".join(f't."{column}"' for column in what.columns)
    joined = [f't."{column}" = k.value ->> {number}' for number, column in enumerate(what.key)]
    where = " AND ".join([*joined, what.condition] if what.condition else joined)
    # CROSS JOIN keeps the order of the tables: each key is looked up once.
    return f"SELECT {columns} FROM json_each(?) k CROSS JOIN {what.table.name} t WHERE {where}"  # noqa: S608 - only names from our own tables


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
