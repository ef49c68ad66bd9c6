"""The results: one row for each measurement, with its target; printed as a table with what they depend on."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from benchmarks.machine import load_average, revision


class Row(NamedTuple):
    """One measurement."""

    what: str
    rate: float | None = None
    """Deliveries or events a second."""
    p50: float | None = None
    """Milliseconds."""
    p99: float | None = None
    cpu: float | None = None
    """Microseconds of CPU in the measured process for each delivery or event."""
    memory: float | None = None
    """Resident, in units of a million bytes."""
    note: str = ""
    load: float = 0.0
    """The load average when it ended."""


_COLUMNS = ("", "per second", "p50 ms", "p99 ms", "CPU µs each", "RSS MB", "load", "target and remarks")


def show(rows: Sequence[Row]) -> None:
    """Print ``rows``."""
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(_COLUMNS))]
    for line in cells:
        first, *numbers, last = line
        middle = (number.rjust(width) for number, width in zip(numbers, widths[1:-1], strict=True))
        print("  ".join((first.ljust(widths[0]), *middle, last)).rstrip())
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    print(
        f"\n{now}, revision {revision()}, {os.cpu_count()} cores of {platform.machine()}, "
        f"Python {platform.python_version()}, load average {load_average():.1f} "
        "(a benchmark alone makes about 2; more means that others took part of the cores)"
    )


def row(what: str, **values: object) -> Row:
    """A measurement that has just ended."""
    return Row(what, load=load_average(), **values)  # type: ignore[arg-type]  # as Row says


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.what,
        _number(row.rate, 0),
        _number(row.p50, 1),
        _number(row.p99, 1),
        _number(row.cpu, 1),
        _number(row.memory, 0),
        _number(row.load, 1),
        row.note,
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
