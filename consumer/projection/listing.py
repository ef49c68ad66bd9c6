"""One page of the bin, quick whether the filters let through many entries, few or none.

The listing is read in its order, which is quick when matches are frequent; but only so far. What lies behind
is asked of the indexes that find what was asked for, and sorted, which is quick when matches are rare. Only
filters that no index answers are read to the end.
"""

from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from consumer.projection.access_paths import best_condition, has_zones, is_exact
from consumer.projection.engines import Kind
from consumer.projection.filters import all_hold, condition_of, types_of
from consumer.projection.fragments import Sql
from consumer.projection.pages import ENTRY_NAMES, KEY_NAMES, Keyset, Pages
from consumer.projection.snapshots import snapshot
from consumer.projection.trigrams import indexed_keys, is_part
from schemas.events import ResourceType
from schemas.trash_bin import BinQuery, Condition, FilterKey, Operator

READ_IN_ORDER: Final = 10_000
"""Entries of each type to read in the listing's order before the indexes are asked: some 5 ms."""

_NEARER: Final = 10
"""A part of them is read first: mostly that is enough."""
_FEW: Final = 200
"""This part of them may have a name that is looked up, and be sorted."""
_MANY_NAMES: Final = 50
"""More of them, given in full, are all taken for rare: to count them is as dear as to look them up."""
_DENSE: Final = 100
"""This part of them may lie in a zone that is read without looking at their order."""
_BY_NUMBER: Final[Sequence[ResourceType]] = ("voucher", "sku", "product", "campaign")
"""The types, that first of which there are most as a rule."""
_KEY_OF_ROW: Final = itemgetter(*map(ENTRY_NAMES.index, KEY_NAMES))


class Group(NamedTuple):
    """Conditions that hold together; an entry is listed when those of one group hold."""

    types: tuple[ResourceType, ...]
    """Which the conditions on the type let through."""
    conditions: tuple[Condition, ...]
    """The others."""


class Listing:
    """A page being read, and one entry more to see whether another follows."""

    def __init__(
        self,
        connection: Connection,
        kind: Kind,
        project: str,
        query: BinQuery,
        *,
        after: Keyset | None,
        in_order: int,
    ) -> None:
        self._connection = connection
        self._filters = query.filters
        self._groups = groups_of(query)
        self._backwards = query.order == "-id"
        self._wanted = query.limit + 1
        self._pages = Pages(project, kind, self._wanted, backwards=self._backwards, after=after)
        self._kind = kind
        self._in_order = in_order

    def rows(self) -> list[Any]:
        """The entries' rows, in order."""
        if not self._groups:
            return []
        pages, groups = self._pages, self._groups
        types = tuple(sorted({name for group in groups for name in group.types}))
        if not any(group.conditions for group in groups):
            return self._all(pages.in_order(types))
        found: list[Any] = []
        if not all(any(map(is_exact, group.conditions)) for group in groups):
            condition = condition_of(self._filters, self._kind)
            for number in self._steps(groups):
                end = self._end(pages, types, number)
                found += self._all(pages.in_order(types, condition, until=end))
                if end is None or len(found) >= self._wanted:
                    return found[: self._wanted]
                pages = pages.beyond(end)
        return [*found, *self._first(self._looked_up(pages))][: self._wanted]

    def _looked_up(self, pages: Pages) -> list[Any]:
        """What the indexes find; some more than once."""
        with snapshot(self._connection):
            parts = any(is_part(each) for group in self._groups for each in group.conditions)
            indexed = indexed_keys(self._connection) if parts else frozenset[FilterKey]()
            return [row for group in self._groups for row in self._of_group(pages, group, indexed)]

    def _of_group(self, pages: Pages, group: Group, indexed: frozenset[FilterKey]) -> list[Any]:
        best = best_condition(group.conditions, indexed)
        if best is not None and has_zones(best):
            return self._named(pages, group, best)
        statements = pages.of_group(group.types, group.conditions, indexed)
        return [row for statement in statements for row in self._all(statement)]

    def _named(self, pages: Pages, group: Group, best: Condition) -> list[Any]:
        """Names that few entries have are looked up and sorted, others found zone by zone."""
        often: set[str] = set()
        if not (is_exact(best) and len(best.values) > _MANY_NAMES):
            often = {text for (text,) in self._all(pages.frequent(best, self._in_order // _FEW))}
        found: list[Any] = []
        if often:
            found += self._zone_by_zone(pages, group, _of(best, often))
        rare = {*best.values, *([""] if not best.values else [])} - often
        if rare:
            holds = all_hold(group.conditions, self._kind)
            for statement in pages.by_index(group.types, _of(best, rare), holds):
                found += self._all(statement)
        return found

    def _zone_by_zone(self, pages: Pages, group: Group, named: Condition) -> list[Any]:
        """What is found without sorting all that has the name."""
        types, holds = group.types, all_hold(group.conditions, self._kind)
        most = self._wanted + self._in_order // _DENSE
        zones = [zone for (zone,) in self._all(pages.zones(types, named, holds, most))]
        needed = list(dict.fromkeys(zones[: self._wanted]))
        # The last one that was looked into may hold many more.
        dense = needed[-1:] if len(zones) == most and needed[-1] == zones[-1] else []
        sparse = [zone for zone in needed if zone not in dense]
        found = self._all(pages.in_zones(sparse, types, named, holds)) if sparse else []
        if not dense or len(found) >= self._wanted:
            return found
        # Where many entries have it, some of the first do as a rule.
        pages = pages.entering(dense[0])
        end = self._end(pages, types, self._far() // _NEARER)
        found += self._all(pages.in_order(types, holds, until=end))
        if end is not None and len(found) < self._wanted:
            found += self._all(pages.beyond(end).in_zones(dense, types, named, holds))
        return found

    def _end(self, pages: Pages, types: Sequence[ResourceType], number: int) -> str | None:
        """A sort key up to which each type has some ``number`` entries at most; None: there are no more."""
        end = None
        # What is frequent first: then there is little to count of the others.
        for name in sorted(types, key=_BY_NUMBER.index):
            found = self._all(pages.end(name, number, until=end))
            end = found[0][0] if found else end
        return end

    def _steps(self, groups: Sequence[Group]) -> tuple[int, ...]:
        """How many entries of each type to read in order, then how many more."""
        far = self._far()
        best = [best_condition(group.conditions) for group in groups]
        # To go from zone to zone is no dearer than the second step.
        zones = all(condition is not None and has_zones(condition) for condition in best)
        return (far // _NEARER,) if zones else (far // _NEARER, far)

    def _far(self) -> int:
        # To compare an entry with hundreds of texts takes its time.
        values = sum(len(each.values) for group in self._groups for each in group.conditions)
        return self._in_order // max(1, values)

    def _all(self, statement: Sql) -> list[Any]:
        return list(self._connection.exec_driver_sql(statement.for_driver(self._kind), statement.values))

    def _first(self, rows: Iterable[Any]) -> list[Any]:
        # Several indexes find the same entry. Python compares texts by code point, as the databases do.
        unique = {_KEY_OF_ROW(row): row for row in rows}
        return [unique[key] for key in sorted(unique, reverse=self._backwards)][: self._wanted]


def groups_of(query: BinQuery) -> list[Group]:
    """The groups of a query's conditions that anything can match."""
    by_key = [conditions for _, conditions in query.filters.conditions]
    if query.filters.junction == "and":
        by_key = [tuple(condition for conditions in by_key for condition in conditions)]
    groups = (
        Group(types_of(conditions), tuple(each for each in conditions if each.key != "resource_type"))
        for conditions in by_key or [()]
    )
    return [group for group in groups if group.types]


def _of(named: Condition, texts: Collection[str]) -> Condition:
    """The condition for some of its names."""
    operator: Operator = "$starts_with" if named.operator == "$starts_with" else "$in"
    return named._replace(operator=operator, values=tuple(sorted(texts)))
