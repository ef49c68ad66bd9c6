"""Makes and drops the index of parts of names and ids, as the settings want it; see ``trigrams``.

PostgreSQL makes it beside those who write. SQLite makes it in one transaction, in which nobody else writes.
"""

import time
from collections.abc import Callable, Collection
from typing import Final, TypeAlias

from sqlalchemy import Connection, exc

from consumer.errors import SettingsError
from consumer.projection.engines import Database, open_engine
from consumer.projection.failures import translated
from consumer.projection.trigrams import LENGTH, PARTS, READY, Part, indexed_keys
from schemas.trash_bin import FilterKey

OnProgress: TypeAlias = Callable[[FilterKey, int, int], None]
"""Called with the key, of how many entries it is indexed, and of how many there are. May raise to end it."""

_AT_ONCE: Final = 50_000
_LOCK: Final = 0x6262696E74726772
"""PostgreSQL's advisory lock for whoever makes such indexes: one at a time."""
_LOCK_PAUSE: Final = 0.2
_NO_EXTENSION: Final = ("0A000", "58P01", "42501")
"""SQLSTATE: not available on the server, by newer and older ones; no right to make it."""


def set_substring_index(
    address: str, keys: Collection[FilterKey], on_progress: OnProgress | None = None
) -> tuple[frozenset[FilterKey], frozenset[FilterKey]]:
    """Index the parts of just these keys; returns the keys that had been, and those that are.

    Raises:
        ProjectionUnavailableError
        SettingsError: PostgreSQL has no extension pg_trgm, and this user may not, or cannot, make it.

    """
    database = open_engine(address, "migrate")
    try:
        return ensure_index(database, frozenset(keys), on_progress or _ignore)
    finally:
        database.engine.dispose()


def ensure_index(
    database: Database, keys: frozenset[FilterKey], on_progress: OnProgress
) -> tuple[frozenset[FilterKey], frozenset[FilterKey]]:
    """As ``set_substring_index``, on a database that is open for writing."""
    work = _in_sqlite if database.kind == "sqlite" else _in_postgres
    return work(database, keys, on_progress), keys


def _ignore(_key: FilterKey, _done: int, _of: int) -> None:
    """Nobody wants to know."""


# SQLite


def _in_sqlite(
    database: Database, keys: frozenset[FilterKey], on_progress: OnProgress
) -> frozenset[FilterKey]:
    with database.look() as connection:
        held = indexed_keys(connection)
        if held == keys == _standing(connection):
            return held
    with database.transaction() as connection:
        held = indexed_keys(connection)
        for part in PARTS:
            if part.key not in held & keys:
                _drop(connection, part)
        for part in PARTS:
            if part.key in keys - held:
                _make(connection, part, on_progress)
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {READY}")
        if keys:
            connection.exec_driver_sql(
                f"CREATE TABLE {READY} (key TEXT NOT NULL PRIMARY KEY, schema_version INTEGER NOT NULL)"
            )
            version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
            connection.exec_driver_sql(
                f"INSERT INTO {READY} VALUES (?, ?)",  # noqa: S608 - only our own names
                [(key, version) for key in sorted(keys)],
            )
    return held


def _standing(connection: Connection) -> frozenset[FilterKey]:
    """The keys that have a table, whatever it is worth."""
    names = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
    return frozenset(part.key for part in PARTS if part.name in names)


def _drop(connection: Connection, part: Part) -> None:
    for event in ("insert", "update", "delete"):
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {part.name}_{event}")
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {part.name}")


def _make(connection: Connection, part: Part, on_progress: OnProgress) -> None:
    # It keeps no texts, only which row has which trigram. Its parts are merged bit by bit: from 16 of them on
    # SQLite would do it all at once, in one batch of the worker's.
    connection.exec_driver_sql(
        f"CREATE VIRTUAL TABLE {part.name} USING fts5("
        "text, tokenize = 'trigram case_sensitive 1', detail = none, columnsize = 0, content = '')"
    )
    connection.exec_driver_sql(f"INSERT INTO {part.name} ({part.name}, rank) VALUES ('automerge', 8)")  # noqa: S608 - only our own names
    add = (
        f"INSERT INTO {part.name} (rowid, text) SELECT new.rowid, {part.of_row('new')} "
        f"WHERE {_has(part, 'new')}"
    )
    remove = (
        f"INSERT INTO {part.name} ({part.name}, rowid, text) "
        f"SELECT 'delete', old.rowid, {part.of_row('old')} WHERE {_has(part, 'old')}"
    )
    changed = f"{part.of_row('old')} IS NOT {part.of_row('new')}"
    for event, condition, statements in (
        ("insert", _has(part, "new"), (add,)),
        ("update", changed, (remove, add)),
        ("delete", _has(part, "old"), (remove,)),
    ):
        connection.exec_driver_sql(
            f"CREATE TRIGGER {part.name}_{event} AFTER {event} ON bin_entries WHEN {condition} "
            f"BEGIN {'; '.join(statements)}; END"
        )
    _fill(connection, part, on_progress)


def _has(part: Part, row: str) -> str:
    return f"length({part.of_row(row)}) >= {LENGTH}"


def _fill(connection: Connection, part: Part, on_progress: OnProgress) -> None:
    last = connection.exec_driver_sql("SELECT coalesce(max(rowid), 0) FROM bin_entries").scalar_one()
    for start in range(0, last, _AT_ONCE):
        on_progress(part.key, start, last)
        connection.exec_driver_sql(
            f"INSERT INTO {part.name} (rowid, text) SELECT rowid, {part.shown} FROM bin_entries NOT INDEXED "  # noqa: S608 - only our own names
            f"WHERE rowid > ? AND rowid <= ? AND length({part.shown}) >= {LENGTH}",
            (start, start + _AT_ONCE),
        )
    on_progress(part.key, last, last)


# PostgreSQL


def _in_postgres(
    database: Database, keys: frozenset[FilterKey], on_progress: OnProgress
) -> frozenset[FilterKey]:
    # Every statement on its own: an index is made without keeping anybody out only outside a transaction.
    alone = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with translated(database.shown), alone.connect() as connection:
        # Who waits for a lock in a statement has a snapshot, for whose end the making of an index waits.
        while not connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).scalar_one():
            time.sleep(_LOCK_PAUSE)
        held = indexed_keys(connection)
        for part in PARTS:
            if part.key not in held & keys:  # also what an interrupted making left behind
                connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {part.name}")
        if keys - held:
            _make_in_postgres(connection, [part for part in PARTS if part.key in keys - held], on_progress)
    return held  # the lock goes with the session


def _make_in_postgres(connection: Connection, parts: Collection[Part], on_progress: OnProgress) -> None:
    _extend(connection)
    schema = connection.exec_driver_sql(
        "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
        "WHERE e.extname = 'pg_trgm'"
    ).scalar_one()
    total = connection.exec_driver_sql(
        "SELECT greatest(0, reltuples)::bigint FROM pg_class WHERE oid = 'bin_entries'::regclass"
    ).scalar_one()
    for part in parts:
        on_progress(part.key, 0, total)
        connection.exec_driver_sql(
            f"CREATE INDEX CONCURRENTLY {part.name} ON bin_entries "
            f"USING gin (({part.shown}) {schema}.gin_trgm_ops)"
        )
        on_progress(part.key, total, total)


def _extend(connection: Connection) -> None:
    if connection.exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'").first():
        return
    try:
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _NO_EXTENSION:
            raise
        reason = " ".join(str(error.orig).split())
        raise SettingsError(
            f"SUBSTRING_INDEX: PostgreSQL needs its extension pg_trgm for it ({reason}); install its contrib "
            "modules, or have a superuser say CREATE EXTENSION pg_trgm in this database; "
            "or BINMIRROR_SUBSTRING_INDEX=off"
        ) from error
