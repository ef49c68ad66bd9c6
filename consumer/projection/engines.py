"""Connections to the projection's database: one way to open SQLite and PostgreSQL.

Sessions are set up on connecting, not by the address, so that a pooler in between does not matter.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import psycopg
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.pool import QueuePool

from consumer.addresses import SqliteAddress, parse_projection
from consumer.projection.failures import READ_ONLY, translated

Purpose: TypeAlias = Literal["read", "write", "migrate"]
Kind: TypeAlias = Literal["sqlite", "postgresql"]

_BUSY_SECONDS: Final = 5.0
_WRITER_CACHE_KIB: Final = 32_768
_READER_CACHE_KIB: Final = 4_096
WAL_PAGES: Final = 8_192
"""Pages (32 MiB) in the write-ahead log at which the writer moves them into the database."""
_CONNECT_SECONDS: Final = 10
_SILENT_SECONDS: Final = 25
"""So long a server's machine may acknowledge nothing: as with three keepalives."""

# Tables grow from nothing under sessions that live long: a plan made once would stay that of an empty table.
_POSTGRES_ALWAYS: Final = ("plan_cache_mode = force_custom_plan", "jit = off")
# Where a statement has one good plan, whatever the tables hold, it takes longer to make than to follow.
_KEEP_PLANS: Final = (
    "SELECT set_config('plan_cache_mode', %s, false), set_config('enable_seqscan', %s, false), "
    "set_config('enable_hashjoin', %s, false), set_config('enable_mergejoin', %s, false)"
)
_KEPT: Final[dict[bool, tuple[str, ...]]] = {
    False: ("force_custom_plan", "on", "on", "on"),
    True: ("force_generic_plan", "off", "off", "off"),
}

_POSTGRES_SETTINGS: Final[dict[Purpose, tuple[str, ...]]] = {
    # A transaction that a frozen worker left open ends by itself; nobody waits for a lock for ever.
    "write": (
        *_POSTGRES_ALWAYS,
        # A batch looks up a thousand keys: through the index, not by hashing a table that is still small.
        "enable_hashjoin = off",
        "enable_mergejoin = off",
        "enable_seqscan = off",
        "statement_timeout = '60s'",
        "lock_timeout = '5s'",
        "idle_in_transaction_session_timeout = '10s'",
    ),
    "read": (
        *_POSTGRES_ALWAYS,
        "default_transaction_read_only = on",
        "statement_timeout = '15s'",
        "lock_timeout = '5s'",
        "idle_in_transaction_session_timeout = '10s'",
    ),
    # Building an index takes its time.
    "migrate": ("lock_timeout = '60s'", "idle_in_transaction_session_timeout = '60s'"),
}


class Database(NamedTuple):
    """An engine and what it connects to."""

    engine: Engine
    kind: Kind
    shown: str
    """The address without credentials."""
    path: Path | None
    """SQLite's file."""

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction, for databases opened to write. Raises our errors for the database's."""
        with translated(self.shown), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """Reading only, where it could be written too: waits for no writer. Raises as ``transaction``."""
        with translated(self.shown), self.engine.connect().execution_options(only_looks=True) as connection:
            yield connection


def open_engine(address: str, purpose: Purpose, *, connections: int = 1) -> Database:
    """An engine that connects when first used, and again by itself after the server was away.

    ``read``: connections that cannot write (and never checkpoint SQLite's write-ahead log); every statement
    on its own unless a transaction is begun. ``write``, ``migrate``: transactions that take SQLite's write
    lock when they begin.

    Raises:
        ValueError: not an address of a projection.

    """
    parsed = parse_projection(address)
    if isinstance(parsed, SqliteAddress):
        return Database(_sqlite(parsed.path, purpose, connections), "sqlite", str(parsed), parsed.path)
    url = parsed.url.get_secret_value()
    return Database(_postgres(url, purpose, connections), "postgresql", str(parsed), None)


def keep_plans(connection: Connection, *, kept: bool) -> None:
    """Have PostgreSQL keep the plans of this session's statements, which then go by indexes only; or not."""
    if connection.dialect.name == "postgresql" and connection.info.get("kept", False) is not kept:
        connection.exec_driver_sql(_KEEP_PLANS, _KEPT[kept])
        connection.info["kept"] = kept


def _sqlite(path: Path, purpose: Purpose, connections: int) -> Engine:
    # The driver looks for an adapter for each NULL and each blob, which takes it a microsecond where there is
    # none: most of what an insert costs. These leave the value as it is.
    sqlite.register_adapter(type(None), _as_it_is)
    sqlite.register_adapter(bytes, bytes)
    # mode=ro: such a connection cannot checkpoint, not even when it is the last one to close.
    mode = "ro" if purpose == "read" else "rwc"
    place = f"file:{_quoted(path.absolute())}?mode={mode}"

    def connect() -> Any:  # noqa: ANN401 - the driver has no types
        if purpose != "read":
            path.absolute().parent.mkdir(parents=True, exist_ok=True)
            # For its owner alone, if it is new. SQLite gives its other files the rights of this one.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite.connect(
            place, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        for pragma in _pragmas(purpose):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    engine = create_engine(
        "sqlite://",
        module=sqlite,
        creator=connect,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        isolation_level="AUTOCOMMIT" if purpose == "read" else None,
    )
    if purpose != "read":
        event.listen(engine, "begin", _take_the_write_lock)
    return engine


def _pragmas(purpose: Purpose) -> tuple[str, ...]:
    if purpose == "read":
        return ("query_only=ON", f"cache_size=-{_READER_CACHE_KIB}")
    return (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"wal_autocheckpoint={WAL_PAGES}",
        f"cache_size=-{_WRITER_CACHE_KIB}",
    )


def _as_it_is(value: None) -> None:
    return value


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _take_the_write_lock(connection: Connection) -> None:
    # A deferred transaction could fail half-way, when it first writes.
    if not connection.get_execution_options().get("only_looks"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgres(url: str, purpose: Purpose, connections: int) -> Engine:
    def connect() -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            application_name=f"binmirror {purpose}",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            # None are sent while something is on its way: the system would try for a quarter of an hour.
            tcp_user_timeout=_SILENT_SECONDS * 1000,
        )
        for setting in _POSTGRES_SETTINGS[purpose]:
            connection.execute(f"SET {setting}".encode())
        connection.autocommit = False
        return connection

    engine = create_engine(
        "postgresql+psycopg://",
        creator=connect,
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=purpose != "read",  # a question is asked once more instead
        isolation_level="AUTOCOMMIT" if purpose == "read" else "READ COMMITTED",
    )
    if purpose != "read":
        event.listen(engine, "handle_error", _give_up_read_only_sessions)
    return engine


def _give_up_read_only_sessions(context: ExceptionContext) -> None:
    # Whether it may write a session learns when it begins: by a setting that an operator, or a service whose
    # disk was full, has taken back since; or by a server that is a standby now, while another one leads.
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True
