"""The bin's filters as SQL: by code point, case-sensitive, % and _ like any character, on both databases."""

from collections.abc import Callable
from typing import Final, assert_never

from consumer.projection.engines import Kind
from consumer.projection.fragments import TRUE, Sql, either, every, one_of, put_together
from schemas.events import RESOURCE_TYPES, ResourceType
from schemas.trash_bin import Condition, FilterKey, Filters

SHOWN_ID: Final = "coalesce(nullif(entry_id, ''), provisional_id, sort_key)"
"""``Entry.id``."""


def condition_of(filters: Filters, kind: Kind) -> Sql:
    """Which entries the filters let through."""
    by_key = [all_hold(conditions, kind) for _, conditions in filters.conditions]
    if not by_key:
        return TRUE
    return either(by_key) if filters.junction == "or" else every(by_key)


def all_hold(conditions: tuple[Condition, ...], kind: Kind) -> Sql:
    """Which entries all conditions let through."""
    return every(_holds(condition, kind) for condition in conditions)


def types_of(conditions: tuple[Condition, ...]) -> tuple[ResourceType, ...]:
    """The resource types that all conditions let through, of those that there are."""
    asked = [condition for condition in conditions if condition.key == "resource_type"]
    return tuple(name for name in RESOURCE_TYPES if all(_lets_through(each, name) for each in asked))


def _holds(condition: Condition, kind: Kind) -> Sql:  # noqa: PLR0911 - one return for each operator
    column, values = _column(condition.key, kind), condition.values
    match condition.operator:
        case "$is" | "$in":
            return one_of(column, values)
        case "$is_not" | "$not_in":
            return put_together("NOT ({})", one_of(column, values))
        case "$has_value":
            return Sql(f"{column} <> ''")
        case "$is_unknown":
            return Sql(f"{column} = ''")
        case "$starts_with":
            return _pieces(lambda length: f"substr({column}, 1, {length})", values)
        case "$ends_with":
            end = "substr({}, -{})" if kind == "sqlite" else "right({}, {})"
            # A text ends with nothing; to SQLite a length of 0 would mean all of it.
            return TRUE if "" in values else _pieces(lambda length: end.format(column, length), values)
        case "$contains":
            return _contains(column, values, kind)
        case "$not_contain":
            return put_together("NOT ({})", _contains(column, values, kind))
        case _:
            assert_never(condition.operator)


def _column(key: FilterKey, kind: Kind) -> str:
    if key == "id":
        return SHOWN_ID
    # What looks at every row that an index brings must not choose another index, or use more of it: SQLite
    # would go through all pairs of two lists. The sign keeps it from that.
    return f"+{key}" if kind == "sqlite" else key


def _pieces(piece: Callable[[int], str], values: tuple[str, ...]) -> Sql:
    """Whether the piece of a text's length is that text, for one of ``values``.

    One comparison for each length: a hundred of them take PostgreSQL longer to plan than to make.
    """
    by_length: dict[int, list[str]] = {}
    for text in values:
        by_length.setdefault(len(text), []).append(text)
    return either(one_of(piece(length), texts) for length, texts in by_length.items())


def _contains(column: str, values: tuple[str, ...], kind: Kind) -> Sql:
    position = "instr" if kind == "sqlite" else "strpos"
    return either(Sql(f"{position}({column}, ?) > 0", (text,)) for text in values)


def _lets_through(condition: Condition, value: str) -> bool:  # noqa: PLR0911 - one return for each operator
    wanted = condition.values
    match condition.operator:
        case "$is" | "$in":
            return value in wanted
        case "$is_not" | "$not_in":
            return value not in wanted
        case "$has_value":
            return value != ""
        case "$is_unknown":
            return value == ""
        case "$starts_with":
            return value.startswith(wanted)
        case "$ends_with":
            return value.endswith(wanted)
        case "$contains":
            return any(each in value for each in wanted)
        case "$not_contain":
            return not any(each in value for each in wanted)
        case _:
            assert_never(condition.operator)
