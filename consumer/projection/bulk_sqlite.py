"""Batch writes into SQLite, on the driver's own connection, under the write lock.

A batch is inserted by one statement, which takes its rows out of one JSON array. For SQLite that is no more
work than a statement for each row, and meanwhile other threads have the interpreter: it changes hands once
for a batch, not once for each row.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Integer, LargeBinary, Table, Text

from consumer.errors import DataRejectedError
from consumer.projection.bulk import KeyedSelect, KeyedUpdate
from consumer.projection.rows import Row

_MAX_INTEGER: Final = 2**63 - 1


class SqliteBulk:
    """See ``Bulk``. Whoever holds it holds the write lock: nobody else inserts or changes rows meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._driver: Any = connection.connection.driver_connection

    def select(self, what: KeyedSelect, keys: Sequence[tuple[str, ...]]) -> list[Any]:
        return list(self._driver.execute(_select(what), (_json(keys),)))

    @staticmethod
    def prepare(table: Table, rows: Sequence[Row]) -> tuple[Any, ...]:
        return _insert(table).parameters(rows)

    def insert(self, table: Table, rows: Sequence[Row], prepared: tuple[Any, ...] | None = None) -> int:
        if not rows:
            return 0
        cursor = self._driver.execute(_insert(table).statement, prepared or self.prepare(table, rows))
        return int(cursor.rowcount)

    def update(self, what: KeyedUpdate, rows: Sequence[Row]) -> None:
        texts = _texts(what.table, (*what.columns, *what.key))
        self._driver.executemany(_update(what), _checked(rows, texts))


class _Insert(NamedTuple):
    """How rows of one table are inserted. Its blob, if it has one, goes apart, in a second parameter."""

    table: Table
    statement: str
    scalars: Callable[[Row], Row]
    integers: tuple[int, ...]
    blob: int | None

    def parameters(self, rows: Sequence[Row]) -> tuple[str] | tuple[str, bytes]:
        """Of the statement. Raises DataRejectedError; what UTF-8 cannot hold is a UnicodeError."""
        for index in self.integers:
            # In JSON a greater one would pass for a number with a fraction.
            if max(map(abs, filter(None, map(itemgetter(index), rows))), default=0) > _MAX_INTEGER:
                raise DataRejectedError("an integer has more than 64 bits")
        if self.blob is None:
            return (self._checked(_json(rows), rows),)
        blobs = [row[self.blob] for row in rows]
        elements = list(_with_places(map(self.scalars, rows), blobs))
        return self._checked(_json(elements), rows), b"".join(blobs)

    def _checked(self, text: str, rows: Sequence[Row]) -> str:
        if r"\u0000" in text:  # or a backslash before u0000, which is well
            for _ in _checked(rows, _texts(self.table, tuple(self.table.columns.keys()))):
                pass
        return text


def _with_places(scalars: Iterable[Row], blobs: Iterable[bytes]) -> Iterator[Row]:
    """Each row with start (from 1) and length of its blob among all blobs in a row."""
    start = 1
    for row, blob in zip(scalars, blobs, strict=True):
        length = len(blob)
        yield (*row, start, length)
        start += length


def _json(rows: Sequence[Row]) -> str:
    return msgspec.json.encode(rows).decode()


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
    return f"SELECT {columns} FROM jsonb_each(?) k CROSS JOIN {what.table.name} t WHERE {where}"  # noqa: S608 - only names from our own tables


@cache
def _insert(table: Table) -> _Insert:
    columns = list(table.columns)
    blob = next((at for at, column in enumerate(columns) if isinstance(column.type, LargeBinary)), None)
    scalars = [at for at in range(len(columns)) if at != blob]
    names = [columns[at].name for at in scalars]
    values = [f"r.value ->> {at}" for at in range(len(scalars))]
    if blob is not None:
        names.append(columns[blob].name)
        values.append(f"substr(?2, r.value ->> {len(scalars)}, r.value ->> {len(scalars) + 1})")
    into = ", ".join(f'"{name}"' for name in names)
    return _Insert(
        table=table,
        statement=f"INSERT INTO {table.name} ({into}) SELECT {', '.join(values)} FROM jsonb_each(?1) r",  # noqa: S608 - only names from our own tables
        scalars=itemgetter(*scalars),
        integers=tuple(at for at, column in enumerate(columns) if isinstance(column.type, Integer)),
        blob=blob,
    )


@cache
def _update(what: KeyedUpdate) -> str:
    values = ", ".join(f'"{column}" = ?' for column in what.columns)
    conditions = " AND ".join(f'"{column}" = ?' for column in what.key)
    return f"UPDATE {what.table.name} SET {values} WHERE {conditions}"  # noqa: S608 - only names from our own tables
