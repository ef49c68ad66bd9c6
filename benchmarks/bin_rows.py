"""A bin of any size, written straight into the projection: what the listing's benchmark is asked about.

Nothing of it went through the log and the worker, so there are entries without events. What the listing
looks at is as in use: the bin is a year of deletions, in the order of time; most entries are vouchers, half
of them in campaigns that were deleted at a stroke; most are confirmed by a reconcile run, which gave them
another id than they are sorted by; a few have left the bin. Each row follows from its number alone.
"""

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Index, text

from consumer.projection.bulk_postgres import PostgresBulk
from consumer.projection.bulk_sqlite import SqliteBulk
from consumer.projection.engines import open_engine
from consumer.projection.entry_indexes import ENTRY_INDEXES
from consumer.projection.migrate import migrate
from consumer.projection.rows import Row
from consumer.projection.tables import bin_entries, counts
from schemas.ids import ENTRY_PREFIX
from schemas.samples import OCCURRED_AT
from schemas.times import BIN_EPOCH

PROJECT: Final = "default"
RUN: Final = 20_000
"""Entries from one campaign's deletion to the next one's; the first half of each are its vouchers."""
LAST: Final = 0.95
"""From here on every voucher's code starts with WINTER-: a prefix that the listing shows last."""
_AT_ONCE: Final = 500_000
"""Entries in one transaction."""
_YEAR: Final = 365 * 86_400_000
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Known(NamedTuple):
    """What the listing shows of an entry."""

    id: str
    resource_type: str
    resource_id: str
    resource_name: str


def row_of(number: int, entries: int) -> Row:
    """The row of ``bin_entries`` with this number, of so many in all."""
    noise = blake2b(number.to_bytes(8, "big"), digest_size=64).digest()
    moment = (OCCURRED_AT - BIN_EPOCH) // 1000 + number * _YEAR // entries
    resource_type = _type(number, entries)
    sort_key = (
        f"{ENTRY_PREFIX}{(moment << 30) | int.from_bytes(noise[:4], 'big') >> 2:018x}{noise[4:8].hex()}"
    )
    confirmed = noise[8] < 170
    late = (moment + 1_500 << 30) | int.from_bytes(noise[8:12], "big") >> 2
    entry_id = f"{ENTRY_PREFIX}{late:018x}" if confirmed else None
    gone = noise[12] < 12
    state = ("vanished" if confirmed else "purged") if gone else ("in_bin" if confirmed else "deleted")
    campaign = number // RUN if number % RUN < RUN // 2 else None
    created_at = BIN_EPOCH + moment * 1000
    return (
        PROJECT,
        resource_type,
        {"voucher": "v_", "campaign": "camp_", "product": "prod_", "sku": "sku_"}[resource_type]
        + _word(noise[16:48]),
        sort_key,
        sort_key,
        entry_id,
        state,
        created_at,
        f"evvou_{sort_key[4:]}",
        created_at,
        _name(number, entries, resource_type, campaign, noise),
        f"camp_{campaign:06}" if campaign is not None and resource_type == "voucher" else None,
        None,
        f"evvou_{sort_key[4:]}",
        created_at,
        created_at + 1_500_000 if confirmed else None,
        f"bmev_{number:012}" if confirmed else None,
        0,
        number,
    )


def known(number: int, entries: int) -> Known:
    """The same as the listing shows it."""
    row = row_of(number, entries)
    return Known(row[5] or row[4], row[1], row[2], row[10])


def _type(number: int, entries: int) -> str:
    if number % 500 == 3:
        return "campaign"
    if number % 100 == 7:
        return "product"
    # Stock-keeping units came into use late.
    return "sku" if number % 100 == 8 and number >= entries * LAST else "voucher"


def _name(number: int, entries: int, resource_type: str, campaign: int | None, noise: bytes) -> str:
    if number >= entries - 200:
        return f"Closing-{noise[48:52].hex()}"
    if resource_type != "voucher":
        return f"{resource_type.title()} {number // 100}"
    code = _word(noise[48:56]).upper()
    if number >= entries * LAST:
        return f"WINTER-{code}"
    if number % 10_000 == 17:
        return f"{code[:4]}-VIP-{code[4:]}"
    return code if campaign is None else f"C{campaign:03}-{code}"


def _word(noise: bytes) -> str:
    return "".join([_DIGITS[byte % 62] for byte in noise])


def fill(address: str, entries: int) -> None:
    """Migrate the projection and put so many entries into it, unless it holds as many already.

    Where it was interrupted it goes on, if the number is the same: ten millions take their time.
    """
    migrate(address)
    database = open_engine(address, "migrate")
    try:
        with database.engine.begin() as connection:
            first = _held(connection)
        while first < entries:
            with database.engine.begin() as connection:
                if database.kind == "sqlite":
                    connection.exec_driver_sql("PRAGMA cache_size=-4000000")
                for index in _indexes(connection, present=True):
                    index.drop(connection)
                _insert(connection, range(first, min(entries, first + _AT_ONCE)), entries)
            first += _AT_ONCE
        with database.engine.begin() as connection:
            missing = _indexes(connection, present=False)
        for index in missing:
            with database.engine.begin() as connection:
                index.create(connection)
        if database.kind == "postgresql" and missing:
            # As autovacuum does before long. SQLite's plans must be right without.
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")
    finally:
        database.engine.dispose()


def _held(connection: Connection) -> int:
    return int(
        connection.scalar(text("SELECT coalesce(sum(rows), 0) FROM counts WHERE kind = 'entries'")) or 0
    )


def _insert(connection: Connection, numbers: range, entries: int) -> None:
    bulk = SqliteBulk(connection) if connection.dialect.name == "sqlite" else PostgresBulk(connection)
    totals: Counter[tuple[str, str]] = Counter()
    bulk.insert(bin_entries, list(_rows(numbers, entries, totals)))
    # A partition of its own for each part: rows of counts are only ever inserted here.
    bulk.insert(
        counts,
        [(numbers.start, "entries", PROJECT, kind, state, n) for (kind, state), n in totals.items()],
    )


def _rows(numbers: range, entries: int, totals: Counter[tuple[str, str]]) -> Iterator[tuple[Any, ...]]:
    for number in numbers:
        row = tuple(row_of(number, entries))
        totals[row[1], row[6]] += 1
        yield row


def _indexes(connection: Connection, *, present: bool) -> list[Index]:
    """The table's indexes that are there, or are not, apart from its key's."""
    asked = (
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'bin_entries'"
        if connection.dialect.name == "sqlite"
        else "SELECT indexname FROM pg_indexes WHERE tablename = 'bin_entries'"
    )
    names = set(connection.scalars(text(asked)))
    # Some are described for each kind of database: SQLAlchemy passes over those for another one.
    return [index for index in ENTRY_INDEXES if (index.name in names) is present]
