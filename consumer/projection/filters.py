"""The bin's filters as SQL: by code point, case-sensitive, % and _ like any character, on both databases."""

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
            return either(Sql(f"substr({column}, 1, ?) = ?", (len(text), text)) for text in values)
        case "$ends_with":
            return either(_ends(column, text, kind) for text in values)
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


def _ends(column: str, text: str, kind: Kind) -> Sql:
    if kind == "postgresql":
        return Sql(f"right({column}, ?) = ?", (len(text), text))
    # A length of 0 would mean all of it.
    return Sql(f"substr({column}, ?) = ?", (-len(text), text)) if text else TRUE


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
