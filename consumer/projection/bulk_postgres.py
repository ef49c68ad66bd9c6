"""Batch writes into PostgreSQL: binary COPY, and reads by arrays of keys."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import psycopg
from sqlalchemy import BigInteger, Connection, Integer, LargeBinary, Table

from consumer.projection.bulk import KeyedSelect, KeyedUpdate
from consumer.projection.rows import Row


class PostgresBulk:
    """See ``Bulk``.

    COPY goes straight into the table: the keys that exist were read just before, so a unique violation means
    that another transaction came between. Then all is rolled back and the batch done over.
    """

    def __init__(self, connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        self._driver: psycopg.Connection[Any] = driver

    def select(self, what: KeyedSelect, keys: Sequence[tuple[str, ...]]) -> list[Any]:
        if not keys:
            return []
        arrays = [list(column) for column in zip(*keys, strict=True)]
        with self._driver.cursor(binary=True) as cursor:
            return cursor.execute(_select(what), arrays, prepare=True).fetchall()

    @staticmethod
    def prepare(table: Table, rows: Sequence[Row]) -> None:
        """Nothing: the driver sends what it has made while it makes the rest."""

    def insert(self, table: Table, rows: Sequence[Row], prepared: None = None) -> int:  # noqa: ARG002 - the contract
        if not rows:
            return 0
        statement, types = _copy(table)
        with self._driver.cursor() as cursor:
            with cursor.copy(statement) as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)
            return cursor.rowcount

    def update(self, what: KeyedUpdate, rows: Sequence[Row]) -> None:
        if rows:
            # One statement for all: each row by itself would be planned by itself.
            arrays = [list(column) for column in zip(*rows, strict=True)]
            with self._driver.cursor() as cursor:
                cursor.execute(_update(what), arrays, prepare=True)


@cache
def _select(what: KeyedSelect) -> bytes:
    columns = ", ".join(f't."{column}"' for column in what.columns)
    arrays = ", ".join("%b::text[]" for _ in what.key)
    names = ", ".join(f"k{number}" for number, _ in enumerate(what.key))
    joined = " AND ".join(f't."{column}" = k.k{number}' for number, column in enumerate(what.key))
    where = f" WHERE {what.condition}" if what.condition else ""
    order = ", ".join(f't."{column}"' for column in what.key)
    lock = f" ORDER BY {order} FOR UPDATE OF t" if what.lock else ""
    statement = f"SELECT {columns} FROM unnest({arrays}) AS k({names}) JOIN {what.table.name} t ON {joined}"  # noqa: S608 - only names from our own tables
    return f"{statement}{where}{lock}".encode()


@cache
def _copy(table: Table) -> tuple[bytes, list[str]]:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    types = [_type(column.type) for column in table.columns]
    return f"COPY {table.name} ({columns}) FROM STDIN (FORMAT BINARY)".encode(), types


def _type(kind: object) -> str:
    if isinstance(kind, BigInteger):
        return "int8"
    if isinstance(kind, Integer):
        return "int4"
    return "bytea" if isinstance(kind, LargeBinary) else "text"


@cache
def _update(what: KeyedUpdate) -> bytes:
    types = {column.name: _type(column.type) for column in what.table.columns}
    given = (*what.columns, *what.key)
    arrays = ", ".join(f"%b::{types[column]}[]" for column in given)
    names = ", ".join(f"n{number}" for number, _ in enumerate(given))
    values = ", ".join(f'"{column}" = n.n{number}' for number, column in enumerate(what.columns))
    conditions = " AND ".join(
        f't."{column}" = n.n{number}' for number, column in enumerate(what.key, len(what.columns))
    )
    statement = f"UPDATE {what.table.name} t SET {values} FROM unnest({arrays}) AS n({names})"  # noqa: S608 - only names from our own tables
    return f"{statement} WHERE {conditions}".encode()
