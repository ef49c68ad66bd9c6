"""The bin's filters as SQL: by code point, case-sensitive, % and _ like any character, on both databases."""

from typing import Final, Protocol, assert_never

from sqlalchemy import (
    ColumnElement,
    and_,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from consumer.projection.engines import Kind
from consumer.projection.tables import LISTED, NOT_LISTED, OTHER_PROVISIONAL, bin_entries
from schemas.events import RESOURCE_TYPES
from schemas.text import folded
from schemas.trash_bin import Condition, FilterKey, Filters

_table = bin_entries.c

IS_LISTED: Final[ColumnElement[bool]] = literal_column(LISTED).self_group()
LISTED_WHATEVER_INDEX: Final[ColumnElement[bool]] = literal_column(f"+{LISTED}").self_group()
"""For SQLite, which would rather walk the whole listing in order than sort the few entries of one name."""
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


def condition_of(project: str, filters: Filters, kind: Kind) -> ColumnElement[bool]:
    """Which entries of ``project`` the filters let through."""
    by_key = [
        and_(*(_holds(project, condition, kind) for condition in conditions))
        for _, conditions in filters.conditions
    ]
    if not by_key:
        return true()
    return or_(*by_key) if filters.junction == "or" else and_(*by_key)


def are_selective(filters: Filters) -> bool:
    """Whether few entries can match, because a name or id is given in full."""
    if filters.junction == "or" and len(filters.conditions) > 1:
        return False
    return any(
        key != "resource_type" and condition.operator in {"$is", "$in"}
        for key, conditions in filters.conditions
        for condition in conditions
    )


def _holds(  # noqa: PLR0911 - one return for each operator
    project: str, condition: Condition, kind: Kind
) -> ColumnElement[bool]:
    column, values = _COLUMNS[condition.key], condition.values
    match condition.operator:
        case "$is" | "$in":
            return _is_one_of(project, condition.key, values)
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


def _is_one_of(project: str, key: FilterKey, values: tuple[str, ...]) -> ColumnElement[bool]:
    # Beside what was asked for, three keys say what lets an index find it.
    wanted = _COLUMNS[key].in_(values)
    if key == "id":
        same = bin_entries.alias("same").c
        ways = (
            same.entry_id.in_(values),
            and_(same.provisional_id.in_(values), HAS_OTHER_PROVISIONAL),
            and_(same.sort_key.in_(values), IS_LISTED),
        )
        found = (
            select(same.resource_type, same.resource_id).where(same.project == project, way) for way in ways
        )
        return and_(wanted, tuple_(_table.resource_type, _table.resource_id).in_(union_all(*found)))
    if key == "resource_id":
        return and_(
            wanted, _table.resource_type.in_([literal_column(f"'{name}'") for name in RESOURCE_TYPES])
        )
    if key == "resource_name":
        return and_(wanted, func.lower(_table.resource_name).in_(sorted({folded(text) for text in values})))
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
