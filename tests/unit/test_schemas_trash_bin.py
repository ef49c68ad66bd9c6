import json
from pathlib import Path

import pytest

from handlers.changes import Entry, Fields, ResourceKey
from schemas.errors import InvalidQuery
from schemas.times import parse_time
from schemas.trash_bin import (
    MAX_VALUES,
    BinQuery,
    Condition,
    FilterKey,
    Filters,
    Operator,
    parse_bin_query,
    render_page,
)


def only(key: FilterKey, operator: Operator, *values: str) -> Filters:
    return Filters("and", ((key, (Condition(key, operator, values),)),))


@pytest.mark.parametrize(
    ("pairs", "filters"),
    [
        ([], Filters()),
        ([("filters", "None")], Filters()),
        ([("filters", "")], Filters()),
        ([("filters[id]", "None"), ("filters[resource_name]", "None")], Filters()),
        ([("filters[id][conditions]", "None")], Filters()),
        ([("filters[resource_id][conditions][$in]", "None")], Filters()),
        ([("filters[junction]", "None")], Filters()),
        ([("filters[junction]", "OR")], Filters("or")),
        ([("filters[junction]", "AND")], Filters("and")),
        ([("filters[resource_type][conditions][$is]", "voucher")], only("resource_type", "$is", "voucher")),
        ([("filters[resource_type][conditions][$is][0]", "sku")], only("resource_type", "$is", "sku")),
        ([("[filters][id][conditions][$is]", "x")], only("id", "$is", "x")),
        (
            [("filters[id][conditions][$in][0]", "a"), ("filters[id][conditions][$in][1]", "b")],
            only("id", "$in", "a", "b"),
        ),
        (
            [("filters[id][conditions][$in]", "a"), ("filters[id][conditions][$in]", "b")],
            only("id", "$in", "a", "b"),
        ),
        (
            [("filters[id][conditions][$in][]", "a"), ("filters[id][conditions][$in][]", "b")],
            only("id", "$in", "a", "b"),
        ),
        (
            [("filters[resource_type][conditions][$in]", "['voucher', 'campaign']")],
            only("resource_type", "$in", "voucher", "campaign"),
        ),
        (
            [("filters[resource_name][conditions][$not_in]", "[\"a'b\", 'c\"d', '\\\\', 'x\\x85\\u2028']")],
            only("resource_name", "$not_in", "a'b", 'c"d', "\\", "x\x85\u2028"),
        ),
        (
            [("filters[resource_name][conditions][$in]", "['\\U000e0001\\U0010ffff\\n']")],
            only("resource_name", "$in", "\U000e0001\U0010ffff\n"),
        ),
        ([("filters[id][conditions][$in]", "[]")], only("id", "$in", "[]")),
        ([("filters[id][conditions][$in]", "[1, 2]")], only("id", "$in", "[1, 2]")),
        ([("filters[id][conditions][$in]", "['a'")], only("id", "$in", "['a'")),
        ([("filters[id][conditions][$in][0]", "['a']")], only("id", "$in", "['a']")),
        ([("filters[id][conditions][$is]", "['a']")], only("id", "$is", "['a']")),
        ([("filters[id][conditions][$is]", "")], only("id", "$is", "")),
        ([("filters[id][conditions][$has_value]", "")], only("id", "$has_value")),
        ([("filters[id][conditions][$is_unknown]", "true")], only("id", "$is_unknown")),
        ([("filters[id][conditions][$has_value]", "None")], Filters()),
        ([("Filters[id]", "x"), ("filter[id]", "x"), ("filtersid", "x"), ("page", "2")], Filters()),
    ],
)
def test_spellings_of_filters(pairs: list[tuple[str, str]], filters: Filters) -> None:
    """What official clients send, mistakes included, is understood as it is meant."""
    assert parse_bin_query(pairs).filters == filters


def test_conditions_are_kept_by_key() -> None:
    """Keys and operators stand in the order of their first appearance."""
    start = "filters"
    found = parse_bin_query(
        [
            (f"{start}[resource_name][conditions][$starts_with]", "a"),
            (f"{start}[id][conditions][$is]", "x"),
            (f"{start}[resource_name][conditions][$contains]", "b"),
            (f"{start}[resource_name][conditions][$starts_with]", "c"),
        ]
    )
    assert found.filters.conditions == (
        (
            "resource_name",
            (
                Condition("resource_name", "$starts_with", ("a", "c")),
                Condition("resource_name", "$contains", ("b",)),
            ),
        ),
        ("id", (Condition("id", "$is", ("x",)),)),
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("filters[name]", "None", ".filters[name]"),
        ("filters[name][conditions][$is]", "x", ".filters[name][conditions][$is]"),
        ("filters[id]", "x", ".filters[id]"),
        ("filters", '{"id": 5}', ".filters"),
        ("filters[id][conditions][$like]", "x", "$starts_with"),
        ("filters[id][$is]", "x", ".filters[id][$is]"),
        ("filters[id][condition][$is]", "x", "operator"),
        ("filters[id][conditions][$is][a]", "x", "index"),
        ("filters[id][conditions][$is][0][0]", "x", "index"),
        ("filters[id][conditions][$is]x", "x", ".filters[id]"),
        ("filters[[id]][conditions][$is]", "x", ".filters[[id]]"),
        ("filters[resource_type][conditions][$contains]", "x", "resource_type"),
        ("filters[resource_type][conditions][$not_contain]", "x", "resource_type"),
        ("filters[junction]", "xor", ".filters[junction]"),
        ("filters[junction][0]", "or", ".filters[junction][0]"),
        ("filters[id][conditions][$has_value]", "false", "no value"),
        ("filters[id][conditions][$is]", "x\x00", "NUL"),
        ("filters[id][conditions][$is]", "\ud800", "surrogate"),
        ("filters[id][conditions][$in]", "['\\ud800']", "surrogate"),
        ("filters[id][conditions][$is]", "x" * 513, "too long"),
        ("filters[id][conditions][$in]", str(["x"] * (MAX_VALUES + 1)), "too many"),
        ("starting_after_id", "x\x00", ".starting_after_id"),
        ("limit", "0", ".limit"),
        ("limit", "101", ".limit"),
        ("limit", "", ".limit"),
        ("limit", "ten", ".limit"),
        ("limit", "-1", ".limit"),
        ("limit", "1.0", ".limit"),
        ("limit", " 5", ".limit"),
        ("limit", "\u0665", ".limit"),
        ("limit", "9" * 10_000, ".limit"),
        ("order", "created_at", ".order"),
        ("order", "ID", ".order"),
        ("order", "", ".order"),
        ("filters[\x00\ud800" + "x" * 1000 + "]", "x", ".filters["),
    ],
)
def test_what_cannot_be_understood(name: str, value: str, said: str) -> None:
    """An unknown key or operator, or a value that means nothing, is refused by the parameter's name."""
    with pytest.raises(InvalidQuery) as caught:
        parse_bin_query([(name, value)])
    assert said in caught.value.details
    assert caught.value.details.startswith("Property .")
    assert len(caught.value.details.encode()) < 400


def test_the_plain_parameters() -> None:
    """Limit, order and cursor; None and an empty cursor count as unset, others' parameters are ignored."""
    assert parse_bin_query([]) == BinQuery(10, "id", None, Filters())
    pairs = [("limit", "100"), ("order", "-id"), ("starting_after_id", "tbe_1"), ("page", "2")]
    assert parse_bin_query(pairs) == BinQuery(100, "-id", "tbe_1", Filters())
    unset = [("limit", "None"), ("order", "None"), ("starting_after_id", "None"), ("", "")]
    assert parse_bin_query(unset) == BinQuery()
    assert parse_bin_query([("starting_after_id", "")]) == BinQuery()
    assert parse_bin_query([("limit", "5"), ("limit", "007")]).limit == 7


def shown(entry_id: str, key: ResourceKey, fields: Fields | None) -> Entry:
    return Entry(
        key=key,
        state="in_bin",
        evidence_at=0,
        evidence_event_id="e",
        sort_key=entry_id,
        provisional_id=None,
        entry_id=entry_id,
        fields=fields,
        snapshot_event_id=None,
        snapshot_occurred_at=None,
        observed_at=0,
        observed_event_id="e",
    )


def test_a_page_looks_as_published() -> None:
    """The body equals Voucherify's own sample, member by member and in the same order."""
    user = "user_JjB45t4Rpl4t1n0oMRlj6trzXKsh7FGX7"
    voucher = shown(
        "tbe_0eb6515f758ae37126",
        ResourceKey("default", "voucher", "v_JPfnb5ChY1HdNnaMkA0ikra4gIg0dja6"),
        Fields(
            parse_time("2024-05-07T09:15:13.218Z"),
            "Trash-Discount-123",
            "camp_ITQtKkrPOxL1a55uSU7tqbCL",
            user,
        ),
    )
    sku = shown(
        "tbe_0eb651ca7b8ae37184",
        ResourceKey("default", "sku", "sku_0eb651c09e0ae37178"),
        Fields(
            parse_time("2024-05-07T09:17:02.827Z"),
            "Trash container icy blue",
            "prod_0eb651c04395147085",
            user,
        ),
    )
    published = Path("tests/data/voucherify/rest/list-bin-entries.200.json").read_bytes()
    page = json.loads(render_page([voucher, sku], has_more=True))
    assert json.dumps(page) == json.dumps(json.loads(published))


def test_a_last_page_names_no_next() -> None:
    """Without more to come there is no more_starting_after; an empty page is a list too."""
    assert json.loads(render_page([], has_more=False)) == {
        "object": "list",
        "data_ref": "data",
        "data": [],
        "total": 0,
        "has_more": False,
    }
    entry = shown("tbe_1", ResourceKey("default", "voucher", "v_1"), None)
    page = json.loads(render_page([entry], has_more=False))
    assert "more_starting_after" not in page
    assert page["data"][0]["resource_name"] == "v_1"
