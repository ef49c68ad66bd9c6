"""The bin API's wire forms: query, filters, entries, pages. Source: Voucherify's API description.

What a filter means, for every implementation alike. Text compares by code point, case-sensitively;
``%``, ``_`` and the like mean themselves.

==============================  ==========================================================
$is, $in                        the value equals one of ``values``
$is_not, $not_in                the value equals none of them
$starts_with, $ends_with,       the value does so with at least one of them
$contains
$not_contain                    the value contains none of them
$has_value                      the value is not empty
$is_unknown                     the value is empty (never, in this mirror)
==============================  ==========================================================

Conditions on one key are joined by "and", keys by ``junction``; no conditions at all match everything.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, get_args

from schemas.errors import InvalidQuery
from schemas.query_text import UNSET, fault_of, python_list, shown
from schemas.times import Micros, format_time

FilterKey: TypeAlias = Literal["id", "resource_type", "resource_name", "resource_id"]
Operator: TypeAlias = Literal[
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
]
Junction: TypeAlias = Literal["and", "or"]
Order: TypeAlias = Literal["id", "-id"]


class Condition(NamedTuple):
    """One condition on one key; a key has at most one condition for each operator.

    ``values`` is what the client sent, in order: empty for $has_value and $is_unknown, otherwise at least
    one, for scalar operators too ($is[0]=a&$is[1]=b). No value holds NUL or a lone surrogate.
    """

    key: FilterKey
    operator: Operator
    values: tuple[str, ...]


class Filters(NamedTuple):
    """Conditions by key: those of one key are joined by "and", the keys by ``junction``."""

    junction: Junction = "and"
    conditions: tuple[tuple[FilterKey, tuple[Condition, ...]], ...] = ()


class BinQuery(NamedTuple):
    """A parsed listing request."""

    limit: int = 10
    order: Order = "id"
    after_id: str | None = None
    filters: Filters = Filters()


MAX_LIMIT: Final = 100
MAX_VALUES: Final = 500
"""Values in all conditions of a query together."""

VALUELESS: Final[tuple[Operator, ...]] = ("$has_value", "$is_unknown")

_KEYS: Final[dict[str, FilterKey]] = {key: key for key in get_args(FilterKey)}
_OPERATORS: Final[dict[str, Operator]] = {operator: operator for operator in get_args(Operator)}
LISTS: Final[tuple[Operator, ...]] = ("$in", "$not_in")
NOT_ON_TYPE: Final[tuple[Operator, ...]] = ("$contains", "$not_contain")
_FILTER: Final = re.compile(r"(?:filters|\[filters\])((?:\[[^\[\]]*\])*)")
_SEGMENT: Final = re.compile(r"\[([^\[\]]*)\]")
_CONDITION_DEPTH: Final = 3
"""``[key][conditions][operator]``; one more segment is an index."""
_INDEX: Final = re.compile(r"[0-9]*")
_LIMIT: Final = re.compile(r"[0-9]{1,4}")


def parse_bin_query(pairs: Sequence[tuple[str, str]]) -> BinQuery:
    """The listing that a client asks for, from the decoded pairs of its query string.

    Filters are understood in every spelling that clients send: ``filters[id][conditions][$in]`` with an
    index behind it, with ``[]``, or repeated; with a leading ``[filters]``; with the text of a Python list
    (``['voucher', 'campaign']``) for a list operator. An empty Python list means itself, so that ``$in``
    with it matches nothing. ``junction`` may be in upper case. The value ``None``, and no value where one
    would have to be, mean that the client left the parameter unset. $has_value and $is_unknown take no
    value (or ``true``).

    Other parameters are ignored, as Voucherify's clients may send more. What stands under ``filters`` is
    not: a filter that is not understood would show too much. Of ``limit``, ``order``,
    ``starting_after_id`` and ``junction`` the last counts.

    Raises:
        InvalidQuery: ``details`` names the parameter.

    """
    limit, order, after_id = BinQuery().limit, BinQuery().order, BinQuery().after_id
    filters = _FilterReader()
    for name, value in pairs:
        if name == "filters" or name.startswith(("filters[", "[filters]")):
            filters.add(name, value)
        elif value == UNSET:
            continue
        elif name == "limit":
            limit = _limit(value)
        elif name == "order":
            order = _order(value)
        elif name == "starting_after_id":
            after_id = _comparable(name, value) or None
    return BinQuery(limit, order, after_id, filters.result())


def _limit(value: str) -> int:
    if not _LIMIT.fullmatch(value) or not 1 <= int(value) <= MAX_LIMIT:
        raise _invalid("limit", f"should be a whole number from 1 to {MAX_LIMIT}")
    return int(value)


def _order(value: str) -> Order:
    match value:
        case "id" | "-id":
            return value
        case _:
            raise _invalid("order", "should be id or -id")


def _comparable(name: str, value: str) -> str:
    fault = fault_of(value)
    if fault is not None:
        raise _invalid(name, fault)
    return value


def _invalid(name: str, fault: str) -> InvalidQuery:
    return InvalidQuery(details=f"Property .{shown(name)} {fault}")


class _FilterReader:
    """Collects the filters of one query, in the order in which keys and operators first appear."""

    def __init__(self) -> None:
        self._junction: Junction = "and"
        self._conditions: dict[FilterKey, dict[Operator, list[str]]] = {}
        self._count = 0

    def add(self, name: str, value: str) -> None:
        match = _FILTER.fullmatch(name)
        path: list[str] = _SEGMENT.findall(match[1]) if match else [""]
        if path == ["junction"]:
            self._set_junction(name, value)
        elif path and path[0] not in _KEYS:
            raise _invalid(name, f"is no filter: one can filter by {', '.join(_KEYS)}")
        elif len(path) < _CONDITION_DEPTH:
            if value not in {UNSET, ""}:
                raise _invalid(name, "is no filter: [conditions] and an operator are missing")
        elif value != UNSET:
            self._add_condition(_KEYS[path[0]], path, name, value)

    def result(self) -> Filters:
        return Filters(
            self._junction,
            tuple(
                (key, tuple(Condition(key, operator, tuple(values)) for operator, values in found.items()))
                for key, found in self._conditions.items()
            ),
        )

    def _set_junction(self, name: str, value: str) -> None:
        match value.lower():
            case "and" | "or" as junction:
                self._junction = junction
            case "" | "none":
                pass
            case _:
                raise _invalid(name, "should be and or or")

    def _add_condition(self, key: FilterKey, path: list[str], name: str, value: str) -> None:
        operator = _OPERATORS.get(path[2])
        indexes = path[_CONDITION_DEPTH:]
        if path[1] != "conditions" or operator is None:
            raise _invalid(name, f"has no known operator: they are {', '.join(_OPERATORS)}")
        if key == "resource_type" and operator in NOT_ON_TYPE:
            raise _invalid(name, "does not go with resource_type")
        if len(indexes) > 1 or not all(_INDEX.fullmatch(index) for index in indexes):
            raise _invalid(name, "has something behind its operator that is no index")
        values = self._conditions.setdefault(key, {}).setdefault(operator, [])
        if operator in VALUELESS:
            if value not in {"", "true"}:
                raise _invalid(name, "takes no value")
            return
        listed = python_list(value) if operator in LISTS and not indexes else None
        for each in [value] if listed is None else listed:
            values.append(_comparable(name, each))
            self._count += 1
        if self._count > MAX_VALUES:
            raise _invalid(name, f"is one value too many: a query takes {MAX_VALUES}")


class EntryFields(Protocol):
    """The fields of an entry that evidence brings along."""

    @property
    def created_at(self) -> Micros: ...
    @property
    def resource_name(self) -> str: ...
    @property
    def resource_parent_id(self) -> str | None: ...
    @property
    def deleted_by_user_id(self) -> str | None: ...


class EntryKey(Protocol):
    """Which resource an entry is about."""

    @property
    def resource_type(self) -> str: ...
    @property
    def resource_id(self) -> str: ...


class ShownEntry(Protocol):
    """A bin entry as far as the API shows it: ``handlers.changes.Entry`` is one."""

    @property
    def id(self) -> str: ...
    @property
    def key(self) -> EntryKey: ...
    @property
    def fields(self) -> EntryFields | None: ...


def render_entry(entry: ShownEntry) -> dict[str, Any]:
    """An entry as the API shows it. Listed entries have ``fields``; without them they read as null."""
    key, fields = entry.key, entry.fields
    return {
        "id": entry.id,
        "created_at": None if fields is None else format_time(fields.created_at),
        "deleted_by_user_id": None if fields is None else fields.deleted_by_user_id,
        "resource_id": key.resource_id,
        "resource_type": key.resource_type,
        "resource_name": key.resource_id if fields is None else fields.resource_name,
        "resource_parent_id": None if fields is None else fields.resource_parent_id,
        "object": key.resource_type,
    }


def render_page(entries: Sequence[ShownEntry], *, has_more: bool) -> bytes:
    """A listing's body, as JSON. ``more_starting_after`` is there exactly when more follows."""
    page = {
        "object": "list",
        "data_ref": "data",
        "data": [render_entry(entry) for entry in entries],
        "total": len(entries),
        "has_more": has_more,
    }
    if has_more and entries:
        page["more_starting_after"] = entries[-1].id
    return json.dumps(page, separators=(",", ":"), ensure_ascii=False).encode()
