"""The listing's statements: what follows a place in its order, each made for one index of ``tables``."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from consumer.projection.access_paths import (
    AccessPath,
    Index,
    access_paths,
    best_condition,
    path_in_zones,
    path_of_each,
)
from consumer.projection.engines import Kind
from consumer.projection.filters import all_hold
from consumer.projection.fragments import TRUE, Sql, every, joined, put_together
from consumer.projection.rows import ENTRY_COLUMNS
from consumer.projection.tables import LISTED, ZONE, ZONE_LENGTH
from schemas.events import ResourceType
from schemas.text import next_text
from schemas.trash_bin import Condition, FilterKey

ENTRY_NAMES: Final = ENTRY_COLUMNS[:-2]
KEY_NAMES: Final = ("sort_key", "resource_type", "resource_id")
_ENTRY: Final = ", ".join(ENTRY_NAMES)
_KEY: Final = ", ".join(KEY_NAMES)
_OUTER: Final = ", ".join(f"e.{name}" for name in ENTRY_NAMES)

Keyset = tuple[str, str, str]
"""Sort key, resource type, resource id."""


class Pages:
    """Statements that read the listing of a project from a place on."""

    def __init__(
        self,
        project: str,
        kind: Kind,
        rows: int,
        *,
        backwards: bool,
        after: Keyset | None,
        start: Sql | None = None,
    ) -> None:
        self._project = project
        self._kind = kind
        self._rows = rows
        self._backwards = backwards
        self._after = after
        self._start = start
        self._direction, self._behind = ("DESC", "<") if backwards else ("ASC", ">")

    def beyond(self, end: str) -> "Pages":
        """The same behind all entries with this sort key."""
        return self._from(Sql(f"sort_key {self._behind} ?", (end,)))

    def entering(self, zone: str) -> "Pages":
        """The same without the zones before this one."""
        place = self._place()
        if not self._backwards:
            inside = place is not None and place >= zone
            return self if inside else self._from(Sql("sort_key >= ?", (zone,)))
        end = next_text(zone)
        inside = end is None or (place is not None and place < end)
        return self if inside else self._from(Sql("sort_key < ?", (end,)))

    def end(self, name: ResourceType, number: int, *, until: str | None) -> Sql:
        """The sort key of the entry of a type that stands behind ``number`` others, if there is one."""
        return self._of_type(name, "sort_key", self._up_to(until), f"LIMIT 1 OFFSET {number}")

    def in_order(
        self, types: Sequence[ResourceType], condition: Sql = TRUE, *, until: str | None = None
    ) -> Sql:
        """The first entries that a condition lets through, read in the listing's order."""
        if until is not None:
            condition = every((condition, self._up_to(until)))
        each = [self._of_type(name, _ENTRY, condition, f"LIMIT {self._rows}") for name in types]
        if len(each) == 1:
            return each[0]
        return put_together(
            f"SELECT * FROM ({{}}) AS each_type ORDER BY {self._order(*KEY_NAMES)} LIMIT {self._rows}",  # noqa: S608 - only our own names
            _union(each),
        )

    def of_group(
        self,
        types: Sequence[ResourceType],
        conditions: tuple[Condition, ...],
        indexed: Collection[FilterKey] = (),
    ) -> list[Sql]:
        """What holds the first entries of these types and conditions; some more than once perhaps.

        ``indexed``: the keys whose parts have an index.
        """
        best = best_condition(conditions, indexed)
        holds = all_hold(conditions, self._kind)
        if best is None:
            return [self.in_order(types, holds)]
        return self.by_index(types, best, holds)

    def frequent(self, named: Condition, number: int) -> Sql:
        """Which of the condition's names the index finds for more than so many entries."""
        path = path_of_each(named, self._kind)
        return put_together(
            "SELECT k.text FROM {} WHERE "  # noqa: S608 - only our own names
            f"(SELECT 1 FROM {{}} WHERE {{}} LIMIT 1 OFFSET {number}) IS NOT NULL",
            path.ranges or TRUE,
            self._table(path.by),
            every((Sql("project = ?", (self._project,)), path.condition)),
        )

    def by_index(self, types: Sequence[ResourceType], best: Condition, holds: Sql) -> list[Sql]:
        """What holds the first entries for which ``holds`` is true, by the index that finds ``best``."""
        return [self._by_path(path, types, holds) for path in access_paths(best, self._kind)]

    def zones(self, types: Sequence[ResourceType], named: Condition, holds: Sql, most: int) -> Sql:
        """The zone of each of the first entries, ``most`` of them; the zones are in order."""
        path = path_in_zones(named, self._kind)
        condition = self._condition(path, types, holds)
        # Zone by zone, and no further than needed.
        if self._kind == "sqlite":
            inside = put_together("{} WHERE {}", self._joined(path), condition)
        else:
            found = self._found(path, condition)
            inside = put_together("LATERAL (SELECT 1 FROM {} OFFSET 0) AS some_there", found)
        place = self._place()
        first = TRUE if place is None else Sql(f"{ZONE} {self._behind}= ?", (place[:ZONE_LENGTH],))
        return put_together(
            "WITH RECURSIVE zones(zone) AS (SELECT * FROM ({}) AS first_one "  # noqa: S608 - only our own names
            "UNION ALL SELECT ({}) FROM zones WHERE zones.zone IS NOT NULL) "
            f"SELECT zone FROM zones CROSS JOIN {{}} LIMIT {most}",
            self._zone(first),
            self._zone(Sql(f"{ZONE} {self._behind} zones.zone")),
            inside,
        )

    def in_zones(
        self, zones: Sequence[str], types: Sequence[ResourceType], named: Condition, holds: Sql
    ) -> Sql:
        """The first entries in these zones."""
        return self._by_path(path_in_zones(named, self._kind, zones), types, holds)

    def _zone(self, condition: Sql) -> Sql:
        return put_together(
            f"SELECT {ZONE} FROM {{}} WHERE {{}} ORDER BY {ZONE} {self._direction} LIMIT 1",  # noqa: S608 - only our own names
            self._table("bin_entries_zones"),
            every((Sql(f"project = ? AND {LISTED}", (self._project,)), condition)),
        )

    def _by_path(self, path: AccessPath, types: Sequence[ResourceType], holds: Sql) -> Sql:
        if path.by == "bin_entries_listed" and path.ranges is None:
            return self.in_order(types, every((path.condition, holds)))
        return put_together(
            f"SELECT {_OUTER} FROM (SELECT {_KEY} FROM {{}} "  # noqa: S608 - only our own names
            f"ORDER BY {self._order(*KEY_NAMES)} LIMIT {self._rows}) AS firsts CROSS JOIN bin_entries AS e "
            "WHERE e.project = {} AND e.resource_type = firsts.resource_type "
            "AND e.resource_id = firsts.resource_id",
            self._found(path, self._condition(path, types, holds)),
            Sql("?", (self._project,)),
        )

    def _condition(self, path: AccessPath, types: Sequence[ResourceType], holds: Sql) -> Sql:
        by_type = path.by in {"bin_entries_pkey", "bin_entries_listed", "bin_entries_zones"}
        return every(
            (
                Sql("project = ?", (self._project,)),
                Sql(f"{'resource_type' if by_type else _ANY_TYPE} IN ({_texts(types)})"),
                path.condition,
                path.once,
                holds,
                Sql(LISTED),
                *self._following(None),
            )
        )

    def _found(self, path: AccessPath, condition: Sql) -> Sql:
        """What the path finds, and the condition lets through, as a table."""
        # Without the offset PostgreSQL could look for them in the listing's order instead; or read all of
        # them for many ranges.
        fence = "OFFSET 0" if self._kind == "postgresql" else ""
        keys = put_together(
            f"(SELECT {_KEY} FROM {{}} WHERE {{}} {fence}) AS found",  # noqa: S608 - only our own names
            self._joined(path),
            condition,
        )
        if self._kind == "postgresql" and path.ranges is not None:
            return put_together("{} CROSS JOIN LATERAL {}", path.ranges, keys)
        return keys

    def _joined(self, path: AccessPath) -> Sql:
        table = self._table(path.by)
        if self._kind == "postgresql" or path.ranges is None:
            return table
        if path.by == "trigrams":
            table = Sql(f"{table.text} ON bin_entries.rowid = {path.ranges.text}.rowid")
        return put_together("{} CROSS JOIN {}", path.ranges, table)

    def _of_type(self, name: ResourceType, columns: str, condition: Sql, limit: str) -> Sql:
        wanted = every(
            (
                Sql(f"project = ? AND resource_type = '{name}' AND {LISTED}", (self._project,)),
                condition,
                *self._following(name),
            )
        )
        # The type is part of no order here: it is one.
        order = self._order("sort_key", "resource_id")
        return put_together(
            f"SELECT {columns} FROM {{}} WHERE {{}} ORDER BY {order} {limit}",  # noqa: S608 - only our own names
            self._table("bin_entries_listed"),
            wanted,
        )

    def _table(self, index: Index) -> Sql:
        # SQLite knows no statistics and would now and then take another one.
        if self._kind == "postgresql":
            return Sql("bin_entries")
        if index == "trigrams":
            return Sql("bin_entries NOT INDEXED")
        name = "sqlite_autoindex_bin_entries_1" if index == "bin_entries_pkey" else index
        return Sql(f"bin_entries INDEXED BY {name}")

    def _following(self, name: ResourceType | None) -> Iterator[Sql]:
        """What comes behind the place, of one type or of any."""
        if self._start is not None:
            yield self._start
        elif self._after is not None:
            sort_key, resource_type, resource_id = self._after
            if name is None:
                yield Sql(f"({_KEY}) {self._behind} (?, ?, ?)", self._after)
            elif name == resource_type:
                yield Sql(f"(sort_key, resource_id) {self._behind} (?, ?)", (sort_key, resource_id))
            else:
                also = "=" if (name > resource_type) != self._backwards else ""
                yield Sql(f"sort_key {self._behind}{also} ?", (sort_key,))

    def _place(self) -> str | None:
        """What follows has this sort key, or one behind it; None: any."""
        if self._start is not None:
            return str(self._start.values[0])
        return None if self._after is None else self._after[0]

    def _from(self, start: Sql) -> "Pages":
        return Pages(
            self._project, self._kind, self._rows, backwards=self._backwards, after=self._after, start=start
        )

    def _up_to(self, until: str | None) -> Sql:
        return TRUE if until is None else Sql(f"sort_key {'>=' if self._backwards else '<='} ?", (until,))

    def _order(self, *names: str) -> str:
        return ", ".join(f"{name} {self._direction}" for name in names)


_ANY_TYPE: Final = "resource_type || ''"
"""The type, for a statement that must not be answered by an index that starts with it."""


def _texts(names: Sequence[ResourceType]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _union(parts: Iterator[Sql] | Sequence[Sql]) -> Sql:
    each = (put_together("SELECT * FROM ({}) AS one_type", part) for part in parts)
    return joined(" UNION ALL ", each, empty=TRUE)
