"""What is asked of the projection is answered by indexes, on SQLite and PostgreSQL."""

import pytest
from sqlalchemy import Select

from consumer.projection.base import EventQuery
from consumer.projection.engines import open_engine
from consumer.projection.filters import all_hold
from consumer.projection.fragments import Sql
from consumer.projection.pages import Pages
from consumer.projection.statements import (
    entries_by_id,
    event_projects,
    newest_delivery,
    one_event,
    page_of_events,
)
from consumer.projection.store import SqlProjectionWriter
from schemas.events import RESOURCE_TYPES
from schemas.trash_bin import BinQuery, Condition, Order
from tests.projection_kit import MOMENT, Feed, Said

AT_ONCE = BinQuery().limit + 1
AFTER = ("tbe_5", "voucher", "v1")


@pytest.fixture
async def thousands(address: str, store: SqlProjectionWriter) -> None:
    """So many rows that reading all of them would be the dearer plan."""
    feed = await Feed.of(store)
    for start in range(0, 6_000, 2_000):
        await feed.push(
            *(
                Said(
                    f"e{n}",
                    "purged" if n % 3 == 0 else "deleted" if n % 50 else "failed",
                    f"v{n}",
                    f"N{n}",
                    n,
                    n + 1,
                )
                for n in range(start, start + 2_000)
            )
        )

    database = open_engine(address, "write")
    if database.kind == "postgresql":
        # As autovacuum does before long. SQLite's plans must be right without.
        with database.engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")
    database.engine.dispose()


def plan(address: str, statement: Select[tuple[object, ...]] | Sql) -> str:
    """How the database goes about it, in its own words."""
    database = open_engine(address, "read")
    with database.engine.connect() as connection:
        word = "EXPLAIN QUERY PLAN" if database.kind == "sqlite" else "EXPLAIN"
        if isinstance(statement, Sql):
            asked = f"{word} {statement.for_driver(database.kind)}"
            rows = connection.exec_driver_sql(asked, statement.values).all()
        else:
            compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
            # A lone % would be taken for a parameter by the driver; none of these statements has one.
            rows = connection.exec_driver_sql(f"{word} {compiled}").all()
    database.engine.dispose()
    return "\n".join(" ".join(map(str, row)) for row in rows)


@pytest.mark.usefixtures("thousands")
@pytest.mark.parametrize("order", ["id", "-id"])
@pytest.mark.parametrize("after", [None, AFTER])
async def test_pages_are_read_by_index(
    address: str, order: Order, after: tuple[str, str, str] | None
) -> None:
    """First and deep pages come straight from the keyset's index, without sorting the bin."""
    kind = open_engine(address, "read").kind
    pages = Pages("p", kind, AT_ONCE, backwards=order == "-id", after=after)
    for statement in (pages.in_order(["voucher"]), pages.end("voucher", 20, until="tbe_9")):
        found = plan(address, statement)
        assert "bin_entries_listed" in found, found
        assert "TEMP B-TREE" not in found
        assert "Sort" not in found


@pytest.mark.usefixtures("thousands")
@pytest.mark.parametrize(
    ("condition", "indexes"),
    [
        (Condition("resource_name", "$in", ("N1", "N2")), ("bin_entries_folded_name",)),
        (Condition("resource_name", "$starts_with", ("N10",)), ("bin_entries_folded_name",)),
        (Condition("resource_name", "$starts_with", ("N10", "N20")), ("bin_entries_folded_name",)),
        (Condition("resource_id", "$is", ("v7",)), ("bin_entries_pkey",)),
        (Condition("resource_id", "$starts_with", ("v700",)), ("bin_entries_pkey",)),
        (
            Condition("id", "$in", ("tbe_1", "tbe_2")),
            ("bin_entries_entry_id", "bin_entries_provisional_id", "bin_entries_listed"),
        ),
    ],
    ids=str,
)
async def test_rare_matches_are_found_by_index(
    address: str, condition: Condition, indexes: tuple[str, ...]
) -> None:
    """What few entries can match is looked up where it is, not searched for along the listing."""
    kind = open_engine(address, "read").kind
    pages = Pages("p", kind, AT_ONCE, backwards=False, after=None)
    plans = [plan(address, statement) for statement in pages.of_group(("voucher",), (condition,))]
    found = "\n".join(plans).replace("sqlite_autoindex_bin_entries_1", "bin_entries_pkey")
    assert "Seq Scan" not in found, found
    assert all(index in found for index in indexes), found


@pytest.mark.usefixtures("thousands")
@pytest.mark.parametrize("order", ["id", "-id"])
@pytest.mark.parametrize(
    "named",
    [
        Condition("resource_name", "$starts_with", ("N1",)),
        Condition("resource_name", "$starts_with", ("N1", "N2")),
        Condition("resource_name", "$in", ("N1", "N2")),
    ],
    ids=str,
)
async def test_frequent_names_are_found_zone_by_zone(address: str, named: Condition, order: Order) -> None:
    """What many entries may match is looked for in one zone of the listing after the other."""
    kind = open_engine(address, "read").kind
    pages = Pages("p", kind, AT_ONCE, backwards=order == "-id", after=None)
    holds = all_hold((named,), kind)
    statements = (
        pages.zones(RESOURCE_TYPES, named, holds, 100),
        pages.in_zones(["tbe_0001", "tbe_0002"], RESOURCE_TYPES, named, holds),
    )
    for statement in statements:
        found = plan(address, statement)
        assert "bin_entries_zones" in found, found
        assert "Seq Scan" not in found, found
    found = plan(address, pages.frequent(named, 50))
    assert "bin_entries_folded_name" in found, found
    assert "Seq Scan" not in found, found


@pytest.mark.usefixtures("thousands")
@pytest.mark.parametrize(
    "statement",
    [
        entries_by_id("p", "tbe_1"),
        event_projects(),
        page_of_events("p", EventQuery(), "sqlite"),
        page_of_events("p", EventQuery(after=(MOMENT, "p", "e5")), "sqlite"),
        page_of_events("p", EventQuery(status="failed"), "sqlite"),
        page_of_events("p", EventQuery(resource_type="voucher", resource_id="v7"), "sqlite"),
        newest_delivery("p"),
        one_event(["p", "q"], "e5"),
    ],
)
async def test_lookups_are_read_by_index(address: str, statement: Select[tuple[object, ...]]) -> None:
    """No lookup reads a whole table."""
    found = plan(address, statement)
    assert "Seq Scan" not in found, found
    assert "SCAN bin_entries" not in found.replace("USING", ""), found
    assert "SCAN events\n" not in f"{found}\n", found
