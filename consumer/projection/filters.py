"""The bin's filters as SQL: by code point, case-sensitive, % and _ like any character, on both databases."""

from typing import Final, Protocol, assert_never

from sqlalchemy import ColumnElement, and_, func, literal, literal_column, not_, or_, true

from consumer.projection.engines import Kind
from consumer.projection.tables import LISTED, NOT_LISTED, OTHER_PROVISIONAL, bin_entries
from schemas.events import RESOURCE_TYPES
from schemas.trash_bin import Condition, FilterKey, Filters

_table = bin_entries.c

IS_LISTED: Final[ColumnElement[bool]] = literal_column(LISTED).self_group()
IS_NOT_LISTED: Final[ColumnElement[bool]] = literal_column(NOT_LISTED).self_group()
HAS_OTHER_PROVISIONAL: Final[ColumnElement[bool]] = literal_column(OTHER_PROVISIONAL).self_group()

SHOWN_ID: Final = func.coalesce(func.nullif(_table.entry_id, ""), _table.provisional_id, _table.sort_key)
"""``Entry.id``."""

_COLUMNS: Final[dict[FilterKey, ColumnElement[str]]] = {
    "id": SHOWN_ID,
    "resource_type": _table.resource_type,
    "resource_id": _table.resource_id,
    "resource_name": _table.resource_name,
}


class _Locator(Protocol):
    def __call__(self, column: ColumnElement[str], text: str) -> ColumnElement[bool]: ...


def condition_of(filters: Filters, kind: Kind) -> ColumnElement[bool]:
    """Which entries ``filters`` lets through."""
    by_key = [
        and_(*(_holds(condition, kind) for condition in conditions)) for _, conditions in filters.conditions
    ]
    if not by_key:
        return true()
    return or_(*by_key) if filters.junction == "or" else and_(*by_key)


def _holds(condition: Condition, kind: Kind) -> ColumnElement[bool]:  # noqa: PLR0911 - one for each operator
    column, values = _COLUMNS[condition.key], condition.values
    match condition.operator:
        case "$is" | "$in":
            return _is_one_of(condition.key, values)
        case "$is_not" | "$not_in":
            return column.not_in(values)
        case "$has_value":
            return column != ""
        case "$is_unknown":
            return column == ""
        case "$starts_with":
            return _any(_starts, column, values)
        case "$ends_with":
            return _any(_ends_on_sqlite if kind == "sqlite" else _ends_on_postgres, column, values)
        case "$contains":
            return _any(_holds_on_sqlite if kind == "sqlite" else _holds_on_postgres, column, values)
        case "$not_contain":
            return not_(_any(_holds_on_sqlite if kind == "sqlite" else _holds_on_postgres, column, values))
        case _:
            assert_never(condition.operator)


def _is_one_of(key: FilterKey, values: tuple[str, ...]) -> ColumnElement[bool]:
    # Beside what was asked for, each says what lets an index find it.
    wanted = _COLUMNS[key].in_(values)
    if key == "id":
        other_provisional = and_(_table.provisional_id.in_(values), HAS_OTHER_PROVISIONAL)
        found = or_(_table.entry_id.in_(values), other_provisional, _table.sort_key.in_(values))
        return and_(wanted, found)
    if key == "resource_id":
        return and_(
            wanted, _table.resource_type.in_([literal_column(f"'{name}'") for name in RESOURCE_TYPES])
        )
    return wanted


def _any(locate: _Locator, column: ColumnElement[str], values: tuple[str, ...]) -> ColumnElement[bool]:
    return or_(*(locate(column, text) for text in values))


def _starts(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    return func.substr(column, 1, len(text)) == text


def _ends_on_sqlite(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    # A length of 0 would mean all of it.
    return func.substr(column, -len(text)) == text if text else true()


def _ends_on_postgres(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    return func.right(column, len(text)) == text


def _holds_on_sqlite(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    return func.instr(column, text) > literal(0)


def _holds_on_postgres(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    return func.strpos(column, text) > literal(0)
