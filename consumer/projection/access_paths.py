"""Which index finds the entries that filters let through, when they are few."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Literal, NamedTuple

from consumer.projection.engines import Kind
from consumer.projection.fragments import TRUE, Sql, every, one_of
from consumer.projection.tables import OTHER_PROVISIONAL, ZONE
from consumer.projection.trigrams import BY_KEY, is_part, matching
from schemas.text import folded, next_text
from schemas.trash_bin import Condition, FilterKey

_EQUALS: Final = ("$is", "$in", "$is_unknown")
_KEYS: Final[tuple[FilterKey, ...]] = ("resource_name", "resource_id", "id")
"""The best first."""

Index = Literal[
    "bin_entries_listed",
    "bin_entries_folded_name",
    "bin_entries_entry_id",
    "bin_entries_provisional_id",
    "bin_entries_pkey",
    "bin_entries_zones",
    "trigrams",
]


class AccessPath(NamedTuple):
    """Entries that one index finds."""

    condition: Sql
    by: Index
    ranges: Sql | None = None
    """A table that the condition speaks of: ``k``, because SQLite would take no index for many ranges, and
    PostgreSQL long to plan them; or SQLite's of trigrams."""
    once: Sql = TRUE
    """Of several ranges that hold an entry, one alone finds it."""


def best_condition(
    conditions: tuple[Condition, ...], indexed: Collection[FilterKey] = ()
) -> Condition | None:
    """The condition by which an index finds the fewest entries, if there is one.

    ``indexed``: the keys whose parts have one.
    """
    found = [
        condition
        for condition in conditions
        if is_exact(condition) or _is_prefix(condition) or (condition.key in indexed and is_part(condition))
    ]
    return min(found, key=_rank, default=None)


def is_exact(condition: Condition) -> bool:
    """Whether it names names or ids in full."""
    return condition.key in _KEYS and condition.operator in _EQUALS


def access_paths(condition: Condition, kind: Kind) -> tuple[AccessPath, ...]:
    """Where to look: whatever ``condition`` lets through, one of these at least finds, and more."""
    if is_part(condition):
        table = Sql(BY_KEY[condition.key].name) if kind == "sqlite" else None
        return (AccessPath(matching(condition, kind), "trigrams", table),)
    find, values = _finding(condition)
    match condition.key:
        case "resource_name":
            return (find("lower(resource_name)", "bin_entries_folded_name", values, kind),)
        case "resource_id":
            return (find("resource_id", "bin_entries_pkey", values, kind),)
        case _:
            other = find("provisional_id", "bin_entries_provisional_id", values, kind)
            return (
                find("entry_id", "bin_entries_entry_id", values, kind),
                other._replace(
                    condition=Sql(f"{other.condition.text} AND {OTHER_PROVISIONAL}", other.condition.values)
                ),
                find("sort_key", "bin_entries_listed", values, kind),
            )


def has_zones(condition: Condition) -> bool:
    """Whether what it lets through can be found zone by zone."""
    return condition.key == "resource_name" and not is_part(condition)


def path_in_zones(condition: Condition, kind: Kind, zones: Sequence[str] | None = None) -> AccessPath:
    """Where to look for names: in these zones, or in the ``zone`` of a table that is read along."""
    find, values = _finding(condition)
    path = find("resource_name", "bin_entries_zones", values, kind)
    in_zones = Sql(f"{ZONE} = zone") if zones is None else one_of(ZONE, zones)
    return path._replace(condition=every((in_zones, path.condition)))


def path_of_each(condition: Condition, kind: Kind) -> AccessPath:
    """Where to look for each of the names ``k.text``."""
    find, values = _finding(condition)
    if find is _starts:
        bounds = "lower(resource_name) >= k.lo AND lower(resource_name) < k.hi"
        return AccessPath(
            Sql(bounds), "bin_entries_folded_name", _table_of(_ranges(_apart(values), folded), kind)
        )
    table = _table_of(_ranges(dict.fromkeys(values), folded), kind)
    return AccessPath(Sql("lower(resource_name) = k.lo"), "bin_entries_folded_name", table)


def _finding(
    condition: Condition,
) -> tuple[Callable[[str, Index, Iterable[str], Kind], AccessPath], Sequence[str]]:
    values = ("",) if condition.operator == "$is_unknown" else condition.values
    return _starts if condition.operator == "$starts_with" else _equals, values


def _equals(column: str, index: Index, values: Iterable[str], _: Kind) -> AccessPath:
    return AccessPath(one_of(column, tuple(dict.fromkeys(map(_in_index(index), values)))), index)


def _starts(column: str, index: Index, values: Iterable[str], kind: Kind) -> AccessPath:
    # Texts that start with another one are those from it to the least text behind all of them.
    ranges = _ranges(_apart(values), _in_index(index))
    if len(ranges) == 1:
        return AccessPath(Sql(f"{column} >= ? AND {column} < ?", ranges[0][:2]), index)
    shown = "resource_name" if index == "bin_entries_folded_name" else column
    return AccessPath(
        Sql(f"{column} >= k.lo AND {column} < k.hi"),
        index,
        _table_of(ranges, kind),
        Sql(f"substr({shown}, 1, length(k.text)) = k.text"),
    )


def _ranges(texts: Iterable[str], in_index: Callable[[str], str]) -> list[tuple[str, str | None, str]]:
    return [(in_index(text), next_text(in_index(text)), text) for text in texts]


def _table_of(ranges: Sequence[tuple[str, str | None, str]], kind: Kind) -> Sql:
    if kind == "postgresql":
        arrays = tuple(map(list, zip(*ranges, strict=True)))
        return Sql("unnest(?::text[], ?::text[], ?::text[]) AS k(lo, hi, text)", arrays)
    return Sql(
        "(SELECT value ->> 0 AS lo, value ->> 1 AS hi, value ->> 2 AS text FROM json_each(?)) AS k",
        (json.dumps(ranges),),
    )


def _in_index(index: Index) -> Callable[[str], str]:
    return folded if index == "bin_entries_folded_name" else str


def _apart(values: Iterable[str]) -> list[str]:
    """Those that do not start with another one: what starts with them is found once."""
    kept: list[str] = []
    for text in sorted(values):
        if not kept or not text.startswith(kept[-1]):
            kept.append(text)
    return kept


def _is_prefix(condition: Condition) -> bool:
    return (
        condition.key in _KEYS
        and condition.operator == "$starts_with"
        and all(next_text(text) is not None for text in condition.values)
    )


def _rank(condition: Condition) -> tuple[int, int]:
    return 0 if is_exact(condition) else 2 if is_part(condition) else 1, _KEYS.index(condition.key)
