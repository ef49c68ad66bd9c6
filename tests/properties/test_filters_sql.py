"""Filters in SQL mean what the plain-Python model says, on both databases."""

import itertools
from typing import Final, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.projection.access_paths import best_condition, has_zones
from consumer.projection.engines import Kind
from consumer.projection.filters import condition_of
from consumer.projection.fragments import TRUE
from consumer.projection.pages import Pages
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.store import SqlProjectionWriter
from consumer.projection.substring_index import set_substring_index
from handlers.changes import Entry
from schemas.events import RESOURCE_TYPES
from schemas.trash_bin import BinQuery, Condition, FilterKey, Filters, Junction, Operator, Order
from tests.filter_model import matches
from tests.projection_kit import Feed, Said

_examples = itertools.count()

# Case, wildcards, escapes, quotes, code points of one to four bytes, and such as sort differently in UTF-16.
LETTERS: Final = "aA%_\\'\"é ẞß\ufffd😀"
TEXT: Final = st.one_of(
    st.text(LETTERS, max_size=6), st.text(max_size=3).filter(lambda text: "\0" not in text)
)
KEYS: Final[tuple[FilterKey, ...]] = get_args(FilterKey)
OPERATORS: Final[tuple[Operator, ...]] = get_args(Operator)
TYPES: Final = ("campaign", "product", "sku", "voucher")

ENTRY = st.builds(
    Said,
    event_id=st.just(""),
    kind=st.sampled_from(["deleted", "in_bin"]),
    resource_id=TEXT,
    name=TEXT,
    occurred=st.integers(0, 3),
    received=st.just(5),
    delivery_id=st.just(""),
    project=st.just(""),
    entry_id=st.one_of(st.none(), TEXT),
    parent=st.just(None),
    user=st.just(None),
    resource_type=st.sampled_from(TYPES),
)


def part(text: str) -> st.SearchStrategy[str]:
    """Some of a text, its end often."""
    places = st.integers(0, len(text))
    return st.builds(lambda start, end: text[start:end], places, st.one_of(st.just(len(text)), places))


@st.composite
def filters(draw: st.DrawFn, known: list[str]) -> Filters:
    """Filters on some keys, often with values that entries have."""
    value = st.one_of(TEXT, st.sampled_from(known), st.sampled_from(known).flatmap(part))
    by_key = []
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=3)):
        conditions = []
        for operator in draw(st.lists(st.sampled_from(OPERATORS), unique=True, min_size=1, max_size=2)):
            bare = operator in {"$has_value", "$is_unknown"}
            values = [] if bare else draw(st.lists(value, min_size=1, max_size=3))
            conditions.append(Condition(key, operator, tuple(values)))
        by_key.append((key, tuple(conditions)))
    junctions: tuple[Junction, ...] = ("and", "or")
    return Filters(draw(st.sampled_from(junctions)), tuple(by_key))


def values_of(entry: Entry) -> dict[FilterKey, str]:
    assert entry.fields is not None
    return {
        "id": entry.id,
        "resource_type": entry.key.resource_type,
        "resource_id": entry.key.resource_id,
        "resource_name": entry.fields.resource_name,
    }


@given(
    wanted=filters(["a", "voucher"]),
    indexed=st.sampled_from([(), KEYS]),
    order=st.sampled_from(get_args(Order)),
)
def test_no_value_stands_in_a_statement(
    wanted: Filters, indexed: tuple[FilterKey, ...], order: Order
) -> None:
    """Whatever a client sends is a parameter: a statement's text is made of our own words alone."""
    mark = "☃"
    marked = tuple(
        (key, tuple(each._replace(values=tuple(text + mark for text in each.values)) for each in conditions))
        for key, conditions in wanted.conditions
    )
    wanted = wanted._replace(conditions=marked)
    kinds: tuple[Kind, ...] = ("sqlite", "postgresql")
    for kind in kinds:
        pages = Pages(mark, kind, 10, backwards=order == "-id", after=(mark, mark, mark))
        statements = [pages.in_order(RESOURCE_TYPES, condition_of(wanted, kind), until=mark)]
        for _, conditions in marked:
            for named in filter(has_zones, conditions):
                if best_condition((named,)) is not None:
                    statements += [
                        pages.frequent(named, 3),
                        pages.zones(RESOURCE_TYPES, named, TRUE, 3),
                        pages.entering(mark).in_zones([mark], RESOURCE_TYPES, named, TRUE),
                    ]
            statements += pages.beyond(mark).of_group(RESOURCE_TYPES, conditions, indexed)
            statements += pages.of_group(RESOURCE_TYPES, conditions, indexed)
        for statement in statements:
            assert mark not in statement.text
            assert statement.text.count("?") == len(statement.values)


@pytest.fixture(params=[(), KEYS], ids=["", "parts indexed"])
def indexed(request: pytest.FixtureRequest, address: str) -> None:
    """Without and with an index of all keys' parts."""
    set_substring_index(address, [key for key in request.param if key != "resource_type"])


@pytest.mark.usefixtures("indexed")
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(ENTRY, min_size=1, max_size=8), data=st.data())
async def test_filters_agree_with_the_model(
    store: SqlProjectionWriter, reader: SqlProjectionReader, said: list[Said], data: st.DataObject
) -> None:
    """A filtered listing is the whole listing, filtered by the model, in the order of code points.

    However far it is read in order before the indexes are asked.
    """
    number = next(_examples)
    project = f"p{number}"
    feed = await Feed.of(store, partition=number)
    await feed.push(*(one._replace(project=project, event_id=f"e{index}") for index, one in enumerate(said)))
    everything = (await reader.list_bin(project, BinQuery(limit=100))).entries
    keys = [(entry.sort_key, *entry.key[1:]) for entry in everything]
    assert keys == sorted(keys)
    known = sorted({text for entry in everything for text in values_of(entry).values()})
    orders: tuple[Order, ...] = ("id", "-id")
    for _ in range(6):
        wanted = data.draw(filters(known))
        order = data.draw(st.sampled_from(orders))
        limit = data.draw(st.integers(1, 9))
        reader._in_order = data.draw(st.sampled_from([1, 2, 3, 1_000]))
        page = await reader.list_bin(project, BinQuery(limit=limit, order=order, filters=wanted))
        expected = [entry for entry in everything if matches(wanted, values_of(entry))]
        if order == "-id":
            expected.reverse()
        after = data.draw(st.one_of(st.none(), st.sampled_from(everything)))
        if after is not None:
            place = (after.sort_key, *after.key[1:])
            query = BinQuery(limit=limit, order=order, filters=wanted, after_id=after.sort_key)
            # Several entries may have had one id: then the first of them is the place.
            first = next(entry for entry in everything if entry.sort_key == after.sort_key)
            if after == first and all(
                after.sort_key not in (e.id, e.provisional_id) for e in everything if e != after
            ):
                behind = await reader.list_bin(project, query)
                rest = [
                    entry
                    for entry in expected
                    if ((entry.sort_key, *entry.key[1:]) > place) == (order == "id") and entry != after
                ]
                assert list(behind.entries) == rest[:limit], (wanted, after)
        assert list(page.entries) == expected[:limit], wanted
        assert page.has_more == (len(expected) > limit)
