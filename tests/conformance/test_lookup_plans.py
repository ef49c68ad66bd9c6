"""Lookups are answered by indexes, on SQLite and PostgreSQL."""

import re

import pytest
from sqlalchemy import text

from consumer.projection.engines import keep_plans, open_engine
from consumer.projection.lookup_statements import LookupQueries
from consumer.projection.migrate import migrate
from tests.lookup_kit import deleted, seen, tell


async def test_statements_use_their_indexes(address: str) -> None:
    """No statement of a lookup reads a whole table."""
    await tell(address, [deleted(f"v_{n}", f"C{n}", n) for n in range(2_000)])
    await tell(address, [seen(f"w_{n}", f"D{n}", n) for n in range(2_000)])
    database = open_engine(address, "write")
    queries = LookupQueries(database.kind)
    with database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    with database.engine.connect() as connection:
        for statement, first, index in (
            (queries._by_id, ("p", "voucher"), "bin_entries_pkey"),
            (queries._seen_by_id, ("p",), "events_resource"),
            (queries._payloads, ("p",), "events_pkey"),
            (queries._of_codes, (), "bin_entries_folded_name"),
            (queries._of_codes, (), "events_sighted_name"),
            (queries._of_codes, (), "bin_entries_pkey"),
            (queries._following, ("p", "d1") * queries._following.count("lower("), "events_sighted_name"),
        ):
            explain = "EXPLAIN QUERY PLAN " if database.kind == "sqlite" else "EXPLAIN "
            values = queries._as_list([f"c{n}" for n in range(20)])
            asked = (*first, values) if first else ("p", values, values, "p", "p")
            if statement is queries._following:
                asked = first
            rows = connection.exec_driver_sql(explain + statement, asked).all()
            plan = "\n".join(str(row[-1]) for row in rows)
            for table in ("bin_entries", "events"):
                plan = plan.replace(f"sqlite_autoindex_{table}_1", f"{table}_pkey")
            assert index in plan, plan
            assert "Seq Scan" not in plan, plan
    database.engine.dispose()


@pytest.mark.postgres
def test_plans_made_while_nothing_is_there(postgres_url: str) -> None:
    """PostgreSQL keeps the plans of lookups: they go by the right indexes even if all was empty then."""
    migrate(postgres_url)
    database = open_engine(postgres_url, "read")
    queries = LookupQueries(database.kind)
    with database.engine.connect() as connection:
        keep_plans(connection, kept=True)
        for number, (statement, indexes) in enumerate(
            (
                (queries._by_id, ["bin_entries_pkey"]),
                (queries._seen_by_id, ["events_resource"]),
                (queries._payloads, ["events_pkey"]),
                (
                    queries._of_codes,
                    ["bin_entries_folded_name", "events_sighted_name", "bin_entries_pkey"],
                ),
                (queries._following, ["events_sighted_name"] * 2),
                (queries._all_seen, ["events_sighted_name"]),
            )
        ):
            first, *rest = statement.split("%s")
            numbered = first + "".join(f"${place}{part}" for place, part in enumerate(rest, 1))
            connection.exec_driver_sql(f"PREPARE q{number} AS {numbered}")
            asked = ", ".join(["'{p}'"] * statement.count("%s"))
            rows = connection.exec_driver_sql(f"EXPLAIN (COSTS off) EXECUTE q{number}({asked})").scalars()
            assert re.findall(r"Scan using (\w+)", "\n".join(rows)) == indexes
    database.engine.dispose()
