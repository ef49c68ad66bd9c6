"""The index of parts of names and ids, on SQLite and PostgreSQL: the same answers, sooner."""

import asyncio
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection

from consumer.errors import ProjectionUnavailableError, SettingsError
from consumer.projection.engines import open_engine
from consumer.projection.fragments import put_together
from consumer.projection.migrate import migrate
from consumer.projection.pages import Pages
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.store import SqlProjectionWriter
from consumer.projection.substring_index import set_substring_index
from consumer.projection.trigrams import PARTS, indexed_keys, matching
from schemas.trash_bin import BinQuery, Condition, FilterKey, Filters, Operator
from tests.conformance.test_projection_plans import plan
from tests.projection_kit import Feed, Said, writer
from tests.servers.postgres import PostgresServer

ALL: tuple[FilterKey, ...] = ("resource_name", "resource_id", "id")


@contextmanager
def connected(address: str) -> Iterator[Connection]:
    database = open_engine(address, "migrate")
    with database.engine.connect().execution_options(only_looks=True) as connection:
        yield connection
    database.engine.dispose()


def indexed(address: str) -> Collection[FilterKey]:
    with connected(address) as connection:
        return indexed_keys(connection)


async def found(
    reader: SqlProjectionReader, key: FilterKey, operator: Operator, *values: str
) -> Sequence[str]:
    """Resource ids of what the filter lets through; nothing is found by reading in order."""
    reader._in_order = 1
    filters = Filters("and", ((key, (Condition(key, operator, values),)),))
    page = await reader.list_bin("p", BinQuery(filters=filters))
    return sorted(entry.key.resource_id for entry in page.entries)


async def test_parts_are_found_by_index(
    address: str, store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """It holds what was there before it and what came, changed or went since."""
    feed = await Feed.of(store)
    await feed.push(*(Said(f"e{n}", resource_id=f"v-{n:03}-x", name=f"BEFORE-{n:03}%") for n in range(50)))
    assert set_substring_index(address, ALL) == (frozenset(), frozenset(ALL))
    assert indexed(address) == frozenset(ALL)
    await feed.push(
        Said("e100", resource_id="v-new", name="AFTER_1é"),
        Said("e101", resource_id="v-gone", name="AFTER-2"),
        Said("e102", "in_bin", "v-001-x", "RENAMED", occurred=-1),
        Said("e103", resource_id="v-short", name="AB"),
    )
    await feed.push(
        Said("e104", "discarded", name="e101"),
        Said("e105", "in_bin", "v-002-x", "BEFORE-002%", entry_id="tbe_002two"),
    )
    assert await found(reader, "resource_name", "$contains", "-007%", "RE-008") == ["v-007-x", "v-008-x"]
    assert await found(reader, "resource_name", "$ends_with", "07%") == ["v-007-x"]
    assert await found(reader, "resource_name", "$ends_with", "_1é") == ["v-new"]
    assert await found(reader, "resource_name", "$contains", "FTER") == ["v-new"]
    assert await found(reader, "resource_name", "$contains", "fter") == []
    assert await found(reader, "resource_name", "$contains", "ENAMED") == ["v-001-x"]
    assert await found(reader, "resource_name", "$contains", "-001%") == []
    assert await found(reader, "resource_name", "$contains", "AB") == ["v-short"]
    assert await found(reader, "resource_id", "$contains", "-new") == ["v-new"]
    assert await found(reader, "id", "$ends_with", "two") == ["v-002-x"]
    assert await found(reader, "resource_name", "$contains", *(f"-{n:03}" for n in range(7, 500))) != []
    await store.stop()

    again = writer(address, migrate=True, substring_index=())
    await again.start()
    assert indexed(address) == frozenset()
    assert await found(reader, "resource_name", "$contains", "-007%") == ["v-007-x"]
    await again.stop()


async def test_the_index_is_what_is_asked(address: str, store: SqlProjectionWriter) -> None:
    """A part of three characters or more is looked up; a shorter one is searched for along the listing."""
    feed = await Feed.of(store)
    for start in range(0, 10_000, 2_000):
        await feed.push(
            *(Said(f"e{n}", resource_id=f"v{n}", name=f"N{n:05}") for n in range(start, start + 2_000))
        )
    set_substring_index(address, ALL)
    kind = open_engine(address, "read").kind
    with connected(address) as connection:
        if kind == "postgresql":
            connection.exec_driver_sql("ANALYZE bin_entries")
            connection.commit()
    pages = Pages("p", kind, 11, backwards=False, after=None)
    for part in PARTS:
        for text, looked_up in (("12345", True), ("12", False)):
            condition = Condition(part.key, "$contains", (text,))
            (statement,) = pages.of_group(("voucher",), (condition,), ALL)
            shown = plan(address, statement)
            assert ((part.name if kind == "postgresql" else "VIRTUAL TABLE") in shown) is looked_up, shown


async def test_making_it_can_be_interrupted(address: str, store: SqlProjectionWriter) -> None:
    """A worker that is stopped while it makes the index leaves none behind; what is left is made anew."""
    await (await Feed.of(store)).push(Said())

    def told(key: FilterKey, _done: int, _of: int) -> None:
        if key == "id":
            raise ProjectionUnavailableError("stopped")

    with pytest.raises(ProjectionUnavailableError):
        set_substring_index(address, ALL, told)
    assert indexed(address) != frozenset(ALL)
    set_substring_index(address, ALL)
    assert indexed(address) == frozenset(ALL)


async def test_vacuum_numbers_rows_anew(tmp_path_factory: pytest.TempPathFactory) -> None:
    """SQLite's index goes by numbers of rows: after VACUUM it is only asked once it was made anew."""
    address = f"sqlite:///{tmp_path_factory.mktemp('vacuum')}/bin.db"
    store = writer(address, substring_index=ALL)
    await store.start()
    await (await Feed.of(store)).push(*(Said(f"e{n}", resource_id=f"v{n}", name=f"NAME-{n}") for n in (1, 2)))
    assert indexed(address) == frozenset(ALL)
    with connected(address) as connection:
        connection.exec_driver_sql("VACUUM")
    assert indexed(address) == frozenset()
    await store.stop()
    again = writer(address, substring_index=ALL)
    await again.start()
    assert indexed(address) == frozenset(ALL)
    await again.stop()


@pytest.mark.postgres
async def test_lower_case_that_depends_on_what_follows(postgres_server: PostgresServer) -> None:
    """In a locale where a sigma at a word's end is another letter no part with one is missed."""
    name = f"sigma_{uuid.uuid4().hex[:8]}"
    locale = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST' ENCODING 'UTF8'"
    await asyncio.to_thread(postgres_server.execute, f"CREATE DATABASE {name} TEMPLATE template0 {locale}")
    address = postgres_server.url(name)
    store = writer(address, migrate=True, substring_index=ALL)
    await store.start()
    await (await Feed.of(store)).push(Said(name="ΑΒΣΑ"))
    await store.stop()
    for text in ("ΑΒΣ", "ΒΣΑ", "ΣΑ"):
        found = matching(Condition("resource_name", "$contains", (text,)), "postgresql")
        statement = put_together("SELECT count(*) FROM bin_entries WHERE {}", found)
        with connected(address) as connection:
            connection.exec_driver_sql("SET enable_seqscan = off")
            asked = statement.for_driver("postgresql")
            assert connection.exec_driver_sql(asked, statement.values).scalar_one() == 1
    await asyncio.to_thread(postgres_server.drop_database, address)


@pytest.mark.postgres
def test_a_user_who_may_not_make_the_extension(postgres_server: PostgresServer, postgres_url: str) -> None:
    """Where pg_trgm is not to be had, the message names the setting and says what to do."""
    migrate(postgres_url)
    role = f"limited_{uuid.uuid4().hex[:8]}"
    with connected(postgres_url) as connection:
        for statement in (
            f"CREATE ROLE {role} LOGIN",
            f"GRANT ALL ON SCHEMA public TO {role}",
            f"ALTER TABLE bin_entries OWNER TO {role}",
        ):
            connection.exec_driver_sql(statement)
        connection.commit()
    theirs = postgres_url.replace("postgres@", f"{role}@")
    with pytest.raises(SettingsError, match=r"SUBSTRING_INDEX.*pg_trgm.*permission.*CREATE EXTENSION"):
        set_substring_index(theirs, ALL)
    set_substring_index(theirs, ())
    with connected(postgres_url) as connection:
        connection.exec_driver_sql("CREATE SCHEMA elsewhere")
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA elsewhere TO {role}")
        connection.exec_driver_sql("CREATE EXTENSION pg_trgm SCHEMA elsewhere")
        connection.commit()
    set_substring_index(theirs, ALL)
    assert indexed(theirs) == frozenset(ALL)
    postgres_server.drop_database(postgres_url)
    postgres_server.execute(f"DROP ROLE {role}")
