"""The schema's version: looking at it, and bringing it up to date. Safe in several processes at once."""

from pathlib import Path
from typing import Final, NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from consumer.errors import SchemaMismatchError, SchemaOutdatedError
from consumer.projection.engines import Database, open_engine
from consumer.projection.failures import MIGRATE, translated

EMPTY: Final = "none"
"""The version of a database without our tables."""

_LOCK: Final = 0x62696E6D6972726F
"""PostgreSQL's advisory lock that migrations take; the number is the text "binmirro"."""


class SchemaState(NamedTuple):
    """The version that the database has, and the one that this program brings."""

    current: str
    latest: str


def schema_state(address: str) -> SchemaState:
    """Look, without changing anything.

    Raises:
        ProjectionUnavailableError

    """
    database = open_engine(address, "read")
    try:
        if database.path is not None and not database.path.exists():
            return SchemaState(EMPTY, latest_version())
        with translated(database.shown), database.engine.connect() as connection:
            return SchemaState(current_version(connection), latest_version())
    finally:
        database.engine.dispose()


def migrate(address: str) -> tuple[str, str]:
    """Run the migrations that are missing; returns the versions before and after (``none``: no tables).

    Raises:
        ProjectionUnavailableError
        SchemaMismatchError: the schema is newer than this program.

    """
    database = open_engine(address, "migrate")
    try:
        with database.transaction() as connection:
            if database.kind == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            before = current_version(connection)
            refuse_newer(before, database.shown)
            latest = latest_version()
            if before != latest:
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, latest)
            return before, latest
    finally:
        database.engine.dispose()


def ensure_schema(database: Database, address: str, *, may_migrate: bool) -> None:
    """See that the schema is this program's; with ``may_migrate`` make it so.

    Raises:
        ProjectionUnavailableError: also SchemaOutdatedError, when it is not ours to migrate.
        SchemaMismatchError: newer.

    """
    state = schema_state(address)
    refuse_newer(state.current, database.shown)
    if state.current == state.latest:
        return
    if not may_migrate:
        has = "has no tables yet" if state.current == EMPTY else f"has schema version {state.current}"
        raise SchemaOutdatedError(f"{database.shown} {has}, this program needs {state.latest}: {MIGRATE}")
    migrate(address)


def current_version(connection: Connection) -> str:
    """The version that the database has."""
    return MigrationContext.configure(connection).get_current_revision() or EMPTY


def latest_version() -> str:
    """The version that this program brings."""
    return _scripts().get_current_head() or EMPTY


def refuse_newer(current: str, shown: str) -> None:
    """Raise SchemaMismatchError for a version that this program does not know."""
    known = {script.revision for script in _scripts().walk_revisions()}
    if current != EMPTY and current not in known:
        raise SchemaMismatchError(
            f"{shown} has schema version {current}, which is newer than this program "
            f"(it knows up to {latest_version()}): upgrade binmirror"
        )


def _config() -> Config:
    config = Config()
    # Alembic's configuration takes % for the start of an interpolation.
    place = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", place)
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
