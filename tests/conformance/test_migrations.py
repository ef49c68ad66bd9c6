"""The schema: migrated equals fresh, by code point, and never newer than the program."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import pytest
from alembic import command
from sqlalchemy import Connection, text

from consumer.errors import ProjectionUnavailableError, SchemaMismatchError, SchemaOutdatedError
from consumer.projection.engines import open_engine
from consumer.projection.lookups import SqlLookups
from consumer.projection.lookups_base import CodeAsk
from consumer.projection.migrate import EMPTY, _config, latest_version, migrate, schema_state
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from consumer.projection.schema import metadata
from schemas.trash_bin import BinQuery, Condition, Filters
from tests.lookup_kit import at, seen, tell
from tests.projection_kit import Feed, Said, writer

SQLITE_CATALOG = (
    "SELECT type, name, tbl_name, replace(replace(sql, char(10), ''), char(9), '') FROM sqlite_master "
    "WHERE name NOT LIKE '%alembic%' AND name NOT LIKE 'sqlite_%' ORDER BY name"
)
COLUMNS = (
    "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default, "
    "collation_name FROM information_schema.columns "
    "WHERE table_schema = 'public' AND table_name <> 'alembic_version' "
    "ORDER BY 1, 2"
)
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"


@contextmanager
def connected(address: str) -> Iterator[Connection]:
    database = open_engine(address, "migrate")
    with database.engine.begin() as connection:
        yield connection
    database.engine.dispose()


def catalog(connection: Connection) -> list[tuple[object, ...]]:
    queries = [SQLITE_CATALOG] if connection.dialect.name == "sqlite" else [COLUMNS, INDEXES]
    rows = [tuple(row) for query in queries for row in connection.execute(text(query))]
    return [row for row in rows if "alembic_version" not in row]


def test_migrated_is_fresh(unmigrated: str) -> None:
    """The migrations lead to the very schema that the tables describe."""
    assert migrate(unmigrated) == (EMPTY, latest_version())
    assert migrate(unmigrated) == (latest_version(), latest_version())
    with connected(unmigrated) as connection:
        migrated = catalog(connection)
        metadata.drop_all(connection)
        metadata.create_all(connection)
        assert migrated == catalog(connection)
        assert len(migrated) > len(metadata.tables)


async def test_a_projection_of_an_earlier_version(address: str) -> None:
    """With what it holds it is brought to the very schema, from each version back to that before lookups."""
    await tell(address, [seen("v_1", "SUMMER", n) for n in range(20)])
    store = writer(address)
    await store.start()
    feed = await Feed.of(store, partition=1)
    await feed.push(*(Said(f"e{n}", "deleted", f"v{n}", f"N{n}", n, n) for n in range(30)))
    await store.stop()
    named = Filters("and", (("resource_name", (Condition("resource_name", "$starts_with", ("N2",)),)),))
    with connected(address) as connection:
        fresh = catalog(connection)
    for version in ("0008", "0004"):
        with connected(address) as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.downgrade(config, version)
        assert schema_state(address).current == version
        assert migrate(address) == (version, latest_version())
        with connected(address) as connection:
            assert catalog(connection) == fresh
        pool = ReadPool(address)
        await pool.start()
        (known,) = await SqlLookups(pool).look_up("p", [CodeAsk("SUMMER")])
        assert [bearer.seen.at for bearer in known.bearers if bearer.seen] == [at(19)]
        listing = SqlProjectionReader(pool, read_in_order=1)
        found = (await listing.list_bin("p", BinQuery(limit=100, filters=named))).entries
        assert {entry.key.resource_id for entry in found} == {"v2", *(f"v{n}" for n in range(20, 30))}
        await pool.stop()


@pytest.mark.postgres
def test_text_compares_by_code_point(postgres_url: str) -> None:
    """Every text column has COLLATE "C" in PostgreSQL's catalog, and so have the indexes on them."""
    migrate(postgres_url)
    with connected(postgres_url) as connection:
        columns = connection.execute(text(COLUMNS)).all()
        texts = [row for row in columns if row.data_type in {"text", "character varying"}]
        assert len(texts) > 20
        assert {row.collation_name for row in texts} == {"C"}
        collations = connection.scalars(
            text(
                "SELECT DISTINCT c.collname FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid, "
                "unnest(i.indcollation) o JOIN pg_collation c ON c.oid = o "
                "WHERE t.relname IN ('bin_entries', 'events', 'checkpoints', 'counts')"
            )
        ).all()
        assert collations == ["C"]


async def test_a_newer_schema_is_refused(unmigrated: str) -> None:
    """Neither side works on a schema that it does not know, and says to upgrade."""
    migrate(unmigrated)
    with connected(unmigrated) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert schema_state(unmigrated) == ("9999", latest_version())
    for side in (writer(unmigrated), SqlProjectionReader(ReadPool(unmigrated))):
        with pytest.raises(SchemaMismatchError, match="newer"):
            await side.start()
        await side.stop()
    with pytest.raises(SchemaMismatchError, match="upgrade"):
        migrate(unmigrated)


async def test_an_upgrade_under_a_running_reader_is_noticed(unmigrated: str) -> None:
    """A reader of an older version finds out at its next ping."""
    migrate(unmigrated)
    reader = SqlProjectionReader(ReadPool(unmigrated))
    await reader.start()
    await reader.ping()
    with connected(unmigrated) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatchError):
        await reader.ping()
    await reader.stop()


@pytest.mark.postgres
async def test_postgres_is_migrated_by_the_command_alone(postgres_url: str) -> None:
    """On an empty PostgreSQL both sides refuse to start and name the command."""
    assert schema_state(postgres_url).current == EMPTY
    for side in (writer(postgres_url), SqlProjectionReader(ReadPool(postgres_url))):
        with pytest.raises(SchemaOutdatedError, match="binmirror migrate"):
            await side.start()
        await side.stop()
    assert schema_state(postgres_url).current == EMPTY


async def test_tables_dropped_under_a_running_worker(address: str) -> None:
    """Missing tables are a matter for a person, not for a retry."""
    store = writer(address)
    await store.start()
    feed = await Feed.of(store)
    with connected(address) as connection:
        connection.execute(text("DROP TABLE events"))
    with pytest.raises(SchemaMismatchError):
        await feed.push(Said())
    await store.stop()


def test_many_may_migrate_at_once(unmigrated: str) -> None:
    """Processes that start together all find a migrated schema."""
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(migrate, [unmigrated] * 8))
    assert {after for _, after in results} == {latest_version()}
    assert [before for before, _ in results].count(EMPTY) == 1


@pytest.mark.postgres
def test_a_database_that_is_not_there(postgres_url: str) -> None:
    """No server, no database: it may come yet. The message does not repeat the password."""
    nowhere = postgres_url.replace("postgres@", "postgres:geheim@").replace("/d", "/nowhere")
    missing = postgres_url.replace("/t", "/no_such_", 1)
    for address in (nowhere, missing):
        for look in (migrate, schema_state):
            with pytest.raises(ProjectionUnavailableError) as caught:
                look(address)
            assert "geheim" not in str(caught.value)
