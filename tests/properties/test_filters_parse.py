"""Every client's spelling of a filter is one query."""

import json
from urllib.parse import parse_qsl, quote, urlencode

from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidQuery, invalid_query_params
from schemas.text import is_storable
from schemas.trash_bin import VALUELESS, BinQuery, Condition, FilterKey, Filters, Operator, parse_bin_query
from tests.filter_model import matches

KEYS: tuple[FilterKey, ...] = ("id", "resource_type", "resource_name", "resource_id")
LISTS = ("$in", "$not_in")
OPERATORS: tuple[Operator, ...] = (
    "$in",
    "$not_in",
    "$is",
    "$is_not",
    "$has_value",
    "$is_unknown",
    "$starts_with",
    "$ends_with",
    "$contains",
    "$not_contain",
)
TEXTS = st.text(max_size=6).filter(lambda text: is_storable(text) and text != "None")
VALUES = TEXTS | st.sampled_from(
    ["voucher", "a'b", 'a"b', "a'b\"c", "\\", "\n\t\r", "[x]", "%", "_", "\U0001f600"]
)


@st.composite
def filters(draw: st.DrawFn) -> Filters:
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=4))
    return Filters(
        draw(st.sampled_from(("and", "or"))),
        tuple((key, draw(conditions(key))) for key in keys),
    )


@st.composite
def conditions(draw: st.DrawFn, key: FilterKey) -> tuple[Condition, ...]:
    usable = [each for each in OPERATORS if key != "resource_type" or "contain" not in each]
    operators = draw(st.lists(st.sampled_from(usable), unique=True, min_size=1, max_size=3))
    return tuple(
        Condition(
            key,
            operator,
            () if operator in VALUELESS else tuple(draw(st.lists(VALUES, min_size=1, max_size=4))),
        )
        for operator in operators
    )


@st.composite
def spelled(draw: st.DrawFn, wanted: Filters) -> list[tuple[str, str]]:
    """The pairs that one client or another sends for ``wanted``, in the order of the conditions."""
    start = draw(st.sampled_from(["filters", "[filters]"]))
    pairs = [(f"{start}[junction]", draw(st.sampled_from([wanted.junction, wanted.junction.upper()])))]
    for key, found in wanted.conditions:
        for condition in found:
            name = f"{start}[{key}][conditions][{condition.operator}]"
            pairs += draw(spelled_values(name, condition))
    unset = draw(st.lists(st.sampled_from(KEYS), max_size=2))
    pairs += [(f"{start}[{key}]", "None") for key in unset]
    pairs += [(f"{start}[{key}][conditions][$is]", "None") for key in unset]
    return pairs


@st.composite
def spelled_values(draw: st.DrawFn, name: str, condition: Condition) -> list[tuple[str, str]]:
    values = condition.values
    if not values:
        return [(name, "")]
    style = draw(st.sampled_from(["indexed", "brackets", "repeated", "python"]))
    if style == "indexed":
        return [(f"{name}[{index}]", value) for index, value in enumerate(values)]
    if style == "brackets":
        return [(f"{name}[]", value) for value in values]
    if style == "python" and condition.operator in LISTS:
        return [(name, str(list(values)))]
    return [(name, value) for value in values]


@given(st.data())
def test_every_spelling_is_one_query(data: st.DataObject) -> None:
    """Indexed, bracketed, repeated or as a Python list; raw or percent-encoded: the filters come out."""
    wanted = data.draw(filters())
    pairs = data.draw(spelled(wanted))
    assert parse_bin_query(pairs).filters == wanted
    for query_string in (
        urlencode(pairs),
        "&".join(f"{name}={quote(value)}" for name, value in pairs),
    ):
        decoded = parse_qsl(query_string, keep_blank_values=True)
        assert parse_bin_query(decoded).filters == wanted


def parsed(pairs: list[tuple[str, str]]) -> tuple[BinQuery | None, str]:
    try:
        return parse_bin_query(pairs), ""
    except InvalidQuery as error:
        return None, error.details


NAMES = st.lists(
    st.sampled_from(
        ["filters", "[filters]", "[id]", "[conditions]", "[$in]", "[$is]", "[0]", "[]", "[junction]", "["]
    )
    | st.text(st.characters(), max_size=3),
    max_size=6,
).map("".join)


@given(
    st.lists(
        st.tuples(
            NAMES | st.sampled_from(["limit", "order", "starting_after_id"]),
            VALUES | st.text(st.characters()),
        )
    )
)
def test_parsing_is_total(pairs: list[tuple[str, str]]) -> None:
    """Any pairs are a query or a 400 whose details can be sent; values of a query are comparable."""
    query, details = parsed(pairs)
    if query is None:
        assert details.startswith("Property .")
        assert json.loads(invalid_query_params(details).to_json())["details"] == details
        return
    assert 1 <= query.limit <= 100
    values = [value for _, found in query.filters.conditions for each in found for value in each.values]
    assert all(is_storable(value) for value in [*values, query.after_id or ""])


ENTRIES = st.fixed_dictionaries({key: st.text("abAB%_", min_size=1, max_size=3) for key in KEYS})
SHORT = st.text("abAB%_", max_size=2)


@given(
    ENTRIES, st.sampled_from(KEYS), st.lists(SHORT, min_size=1, max_size=3), st.sampled_from(["and", "or"])
)
def test_negations_are_complements(
    entry: dict[FilterKey, str], key: FilterKey, values: list[str], junction: str
) -> None:
    """Of each pair of operators exactly one holds, and one condition is the same under both junctions."""
    pairs: tuple[tuple[Operator, Operator], ...] = (
        ("$is", "$is_not"),
        ("$in", "$not_in"),
        ("$contains", "$not_contain"),
        ("$has_value", "$is_unknown"),
    )
    for one, other in pairs:
        held = []
        for operator in (one, other):
            condition = Condition(key, operator, () if operator in VALUELESS else tuple(values))
            found = Filters("or" if junction == "or" else "and", ((key, (condition,)),))
            held.append(matches(found, entry))
        assert held[0] is not held[1]


@given(ENTRIES, filters())
def test_or_holds_wherever_and_does(entry: dict[FilterKey, str], wanted: Filters) -> None:
    """Joining keys by "or" never shows less than joining them by "and"; no keys show everything."""
    by_and = matches(wanted._replace(junction="and"), entry)
    by_or = matches(wanted._replace(junction="or"), entry)
    assert by_or or not by_and
    assert matches(Filters("or", ()), entry)
