"""What a projection's database alone takes: the statements of the worker's batches, and nothing else.

    python -m benchmarks.floor                SQLite in a temporary folder
    python -m benchmarks.floor --postgres     a PostgreSQL of its own, on the other core

The rows of events and entries are made beforehand: nothing is read, interpreted, compressed or folded while
the clock runs. No worker on this schema can be faster, unless its work goes on beside the database's.
"""

import argparse
import contextlib
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from benchmarks.machine import cores, on_core
from benchmarks.projection import deliveries, projection
from benchmarks.table import Row, row, show
from consumer.projection.bulk import ENTRIES, STORED_EVENTS, Bulk
from consumer.projection.bulk_postgres import PostgresBulk
from consumer.projection.bulk_sqlite import SqliteBulk
from consumer.projection.engines import open_engine
from consumer.projection.migrate import migrate
from consumer.projection.payloads import PayloadCodec
from consumer.projection.rows import Row as Values
from consumer.projection.rows import entry_row, event_row
from consumer.projection.tables import bin_entries, events
from consumer.worker.interpret import Interpreter
from handlers.merge import merge

_ENTRY_KEY, _EVENT_KEY = slice(3), slice(2)


def rows_of(first: int, number: int) -> tuple[Sequence[Values], Sequence[Values]]:
    """The rows that a batch adds to events and entries, in the order of their keys."""
    interpret, pack = Interpreter({}), PayloadCodec().pack
    outcomes = [
        interpret(delivery, offset)
        for offset, delivery in enumerate(deliveries(first, number, duplicates=0.0), first)
    ]
    stored: list[tuple[Any, ...]] = [
        event_row(outcome, attempts=1, deliveries=1, partition=0, payload=pack(outcome.body))
        for outcome in outcomes
    ]
    entries: list[tuple[Any, ...]] = [
        entry_row(merge(None, change), 0, outcome.offset)
        for outcome in outcomes
        for change in outcome.changes
    ]
    return sorted(stored), sorted(entries, key=lambda values: values[_ENTRY_KEY])


def write(connection: Connection, bulk: Bulk, stored: Sequence[Values], entries: Sequence[Values]) -> None:
    """One batch, as the worker writes it."""
    assert not bulk.select(STORED_EVENTS, [tuple(values[_EVENT_KEY]) for values in stored])
    bulk.insert(events, stored)
    assert not bulk.select(ENTRIES, [tuple(values[_ENTRY_KEY]) for values in entries])
    bulk.insert(bin_entries, entries)
    connection.commit()


def measure(address: str, *, number: int, size: int) -> Row:
    """``number`` events in batches of ``size``."""
    database = open_engine(address, "write")
    spent, cpu = 0.0, 0.0
    with database.engine.connect() as connection:
        for first in range(0, number, size):
            stored, entries = rows_of(first, min(size, number - first))
            started, started_cpu = time.perf_counter(), time.process_time()
            connection.begin()
            bulk = SqliteBulk(connection) if database.kind == "sqlite" else PostgresBulk(connection)
            write(connection, bulk, stored, entries)
            spent += time.perf_counter() - started
            cpu += time.process_time() - started_cpu
    database.engine.dispose()
    return row(
        f"statements alone, {database.kind}",
        rate=number / spent,
        cpu=cpu / number * 1e6,
        note=f"{number:,} events in batches of {size:,}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Events a second that the database alone takes")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=2_000)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(projection(postgres=options.postgres))
        migrate(address)
        stack.enter_context(on_core(cores()[0]))
        show([measure(address, number=options.events, size=options.batch)])


if __name__ == "__main__":
    main()
