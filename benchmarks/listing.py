"""How fast the bin is listed: pages, and every operator of the filters, over HTTP.

    python -m benchmarks.listing                         a million entries, SQLite
    python -m benchmarks.listing --postgres              the same in a PostgreSQL of its own
    python -m benchmarks.listing --entries 10000000 --only page,is,in
    python -m benchmarks.listing --to ADDRESS            keeps the bin there for the next time
    python -m benchmarks.listing --substring-index all   with the index of parts of names and ids

``serve --role api`` alone on its core; one connection asks one thing after the other. Matches are many or
few, spread over the bin or all at its end, which is the hard case for whoever reads it in order.
"""

import argparse
import contextlib
import json
import time
from collections.abc import Collection, Iterator, Sequence
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode

from benchmarks.bin_rows import fill, known
from benchmarks.client import percentile
from benchmarks.machine import cores, on_core
from benchmarks.projection import projection
from benchmarks.servers import CREDENTIALS, SERVE, folder, running
from benchmarks.table import Row, row, show
from consumer.bootstrap.parts import SUBSTRING_KEYS
from consumer.projection.substring_index import set_substring_index
from schemas.trash_bin import FilterKey

PAGE_MS, FILTER_MS = 10, 50
_SHARE = 0.3
"""Seconds for each case, at least four requests."""
_MOST = 200
_PATIENCE = 60.0


class Case(NamedTuple):
    """Requests of one kind; they are taken in turn."""

    name: str
    queries: Sequence[dict[str, Any]]
    target: int | None
    """Milliseconds, for p99."""


def filters(**keys: dict[str, str]) -> dict[str, Any]:
    """``resource_name={"is": "A"}`` as the query's parameters."""
    return {
        f"filters[{key}][conditions][${operator}]": value
        for key, conditions in keys.items()
        for operator, value in conditions.items()
    }


def either(**keys: dict[str, str]) -> dict[str, Any]:
    """The same, joined by "or"."""
    return {**filters(**keys), "filters[junction]": "or"}


def pages(entries: int) -> Iterator[Case]:
    """Without filters."""
    numbers = [1, *(page for page in (10_000, 100_000, 1_000_000) if page * 10 < entries)]
    for page in numbers:
        for limit in (10, 100):
            if page * limit >= entries:
                continue
            after = [known(number, entries).id for number in range(page * limit, page * limit + 50)]
            asked = [{"limit": limit, "starting_after_id": each} for each in after]
            yield Case(f"page {page:,} of {limit}", asked if page > 1 else [{"limit": limit}], PAGE_MS)
    yield Case("page 1 of 100, newest first", [{"limit": 100, "order": "-id"}], PAGE_MS)


def by_value(entries: int) -> Iterator[Case]:
    """$is and $in on each key, present and not."""
    some = [known(number, entries) for number in range(3, entries, entries // 50)]
    for key in ("id", "resource_id", "resource_name"):
        values = [getattr(each, key) for each in some]
        yield Case(f"is {key}", [filters(**{key: {"is": value}}) for value in values], FILTER_MS)
        yield Case(f"is {key}, none such", [filters(**{key: {"is": "nobody"}})], FILTER_MS)
        many = [getattr(known(number, entries), key) for number in range(0, entries, entries // 400)][:400]
        yield Case(
            f"in {key}, 400 values", [{**filters(**{key: {"in": str(many)}}), "limit": 100}], FILTER_MS
        )
    for name in ("voucher", "campaign", "product", "sku", "other"):
        yield Case(f"is resource_type {name}", [filters(resource_type={"is": name})], FILTER_MS)
    yield Case(
        "in resource_type campaign, sku", [filters(resource_type={"in": "['campaign', 'sku']"})], FILTER_MS
    )
    for key in ("id", "resource_type", "resource_id", "resource_name"):
        yield Case(f"has_value {key}", [filters(**{key: {"has_value": ""}})], FILTER_MS)
        yield Case(f"is_unknown {key}", [filters(**{key: {"is_unknown": ""}})], FILTER_MS)


def by_part(entries: int) -> Iterator[Case]:
    """$starts_with, $ends_with, $contains."""
    last = known(entries - 300, entries)
    parts = {
        "starts_with id": ("tbe_", last.id[:11], last.id[:14], last.id[:18], "tbe_ff", "x"),
        "starts_with resource_type": ("v", "s", "x"),
        "starts_with resource_id": ("v_", "v_J", "v_Jp", "v_JpX", "camp_", "sku_", "x_"),
        "starts_with resource_name": (
            "C",
            "C001-",
            "WINTER-",
            "WINTER-A",
            "Closing",
            "A",
            "A1",
            "A1B",
            "Sku",
            "nobody",
        ),
        "ends_with resource_name": ("A1", "A1B", "A1B2", "nobody"),
        "contains resource_name": ("A1", "A1B", "-VIP-", "WINTER-", "Closing", "nobody"),
        "ends_with id": (last.id[-3:], last.id[-8:], "nobody"),
        "contains id": ("abc", last.id[8:16], "nobody"),
        "ends_with resource_id": (last.resource_id[-2:], last.resource_id[-6:], "nobody"),
        "contains resource_id": ("aB1", last.resource_id[5:12], "nobody"),
        "ends_with resource_type": ("her", "sku", "x"),
    }
    for name, values in parts.items():
        operator, key = name.split()
        for value in values:
            target = FILTER_MS if operator == "starts_with" or len(value) > 2 else None
            for order in ("id", "-id"):
                query = {**filters(**{key: {operator: value}}), "order": order}
                yield Case(f"{name} {value}{' (newest first)' * (order == '-id')}", [query], target)


def combined(entries: int) -> Iterator[Case]:
    """Several keys, by "and" and "or"; and negations, which have no target."""
    late = known(entries - 100, entries)
    winter = {"starts_with": "WINTER-"}
    yield Case(
        "and: type voucher, name WINTER-",
        [filters(resource_type={"is": "voucher"}, resource_name=winter)],
        FILTER_MS,
    )
    yield Case(
        "and: type product, name WINTER-",
        [filters(resource_type={"is": "product"}, resource_name=winter)],
        FILTER_MS,
    )
    yield Case(
        "and: type sku, name contains 9",
        [filters(resource_type={"is": "sku"}, resource_name={"contains": "9"})],
        FILTER_MS,
    )
    yield Case(
        "or: type sku, name Closing",
        [either(resource_type={"is": "sku"}, resource_name={"starts_with": "Closing"})],
        FILTER_MS,
    )
    yield Case("or: id is, name is", [either(id={"is": late.id}, resource_name={"is": "nobody"})], FILTER_MS)
    yield Case(
        "or: id, resource_id, name start",
        [
            either(
                id={"starts_with": late.id[:16]},
                resource_id={"starts_with": "sku_A"},
                resource_name={"starts_with": "Closing"},
            )
        ],
        FILTER_MS,
    )
    yield Case(
        "or: all $is, 160 each",
        [
            either(
                **{
                    key: {
                        "in": str(
                            [
                                getattr(known(number, entries), key)
                                for number in range(5, entries, entries // 160)
                            ][:160]
                        )
                    }
                    for key in ("id", "resource_id", "resource_name")
                },
            )
        ],
        FILTER_MS,
    )
    yield Case(
        "starts_with resource_name, 100 values",
        [
            filters(resource_name={"starts_with": "x"})
            | {f"filters[resource_name][conditions][$starts_with][{n}]": f"A{n}Z" for n in range(100)}
        ],
        FILTER_MS,
    )
    yield Case("is_not resource_type voucher", [filters(resource_type={"is_not": "voucher"})], None)
    yield Case(
        "not_in resource_type, all but sku",
        [filters(resource_type={"not_in": "['voucher', 'campaign', 'product']"})],
        None,
    )
    yield Case("is_not resource_name", [filters(resource_name={"is_not": late.resource_name})], None)
    yield Case("not_contain resource_name 1", [filters(resource_name={"not_contain": "1"})], None)
    yield Case(
        "not_contain resource_name -",
        [
            filters(resource_name={"not_contain": "-"}),
        ],
        None,
    )


GROUPS = {"page": pages, "value": by_value, "part": by_part, "combined": combined}


def timed(connection: HTTPConnection, case: Case) -> Row:
    """The case's requests in turn, for a while, after one that does not count."""
    took: list[float] = []
    began, shown = time.perf_counter(), 0
    while len(took) < 5 or (time.perf_counter() - began < _SHARE and len(took) <= _MOST):
        query = case.queries[len(took) % len(case.queries)]
        started = time.perf_counter()
        connection.request("GET", f"/v1/trash-bin?{urlencode(query)}", headers=CREDENTIALS)
        response = connection.getresponse()
        body = response.read()
        took.append(time.perf_counter() - started)
        if response.status != 200:
            return row(case.name, note=f"{response.status}: {body[:100]!r}")
        shown += len(json.loads(body)["data"])
        if sum(took) > 10:
            break
    spent = took[1:] or took
    p99 = percentile(spent, 0.99) * 1000
    over = " OVER" if case.target is not None and p99 >= case.target else ""
    goal = "no target" if case.target is None else f"p99 < {case.target}{over}"
    return row(
        case.name,
        p50=percentile(spent, 0.50) * 1000,
        p99=p99,
        note=f"{goal}; {shown / len(took):.0f} entries, {len(spent)} requests",
    )


def measure(
    address: str, entries: int, groups: Sequence[str], word: str = "", keys: Collection[FilterKey] = ()
) -> list[Row]:
    """The groups' cases whose name holds ``word``, on a projection that is filled first if need be.

    ``keys``: those whose parts are indexed.
    """
    fill(address, entries)
    set_substring_index(address, keys)
    cases = [case for group in groups for case in GROUPS[group](entries) if word in case.name]
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder())
        server = stack.enter_context(running((*SERVE, "--role", "api"), place, {"PROJECTION": address}))
        stack.enter_context(on_core(cores()[1]))
        connection = HTTPConnection(*server.address, timeout=_PATIENCE)
        rows = [timed(connection, case) for case in cases]
        connection.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the bin is listed")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--to", metavar="ADDRESS")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--only", default=",".join(GROUPS), help="of the groups %(default)s")
    parser.add_argument("--word", default="", help="only cases whose name holds it")
    parser.add_argument("--substring-index", choices=list(SUBSTRING_KEYS), default="off")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        address = options.to or stack.enter_context(projection(postgres=options.postgres))
        keys = SUBSTRING_KEYS[options.substring_index]
        show(measure(address, options.entries, options.only.split(","), options.word, keys))


if __name__ == "__main__":
    main()
