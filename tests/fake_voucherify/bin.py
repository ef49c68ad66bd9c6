"""The fake's bin: sorted ids, and entries that are made up on demand, so that a million are cheap."""

import json
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from schemas.times import BIN_EPOCH, Micros, format_time, parse_time
from schemas.trash_bin import BinQuery, Condition, Filters

_PREFIXES = {"campaign": "camp_", "product": "prod_", "sku": "sku_", "voucher": "v_"}
_TYPE_OF_DIGIT = {"0": "sku", "1": "product", "2": "campaign"}
_TEXT = json.encoder.encode_basestring
FIRST = parse_time("2024-05-07T09:15:13.218Z")
"""When the first of the made-up entries was deleted."""


class FakeEntry(NamedTuple):
    """An entry as Voucherify's bin shows it."""

    id: str
    created_at: str
    resource_id: str
    resource_type: str = "voucher"
    resource_name: str = "CODE-10"
    resource_parent_id: str | None = None
    deleted_by_user_id: str | None = None

    def json(self) -> bytes:
        # Text by text: five times as fast as one call, and a listing has a hundred of these.
        text, resource_type = _TEXT, self.resource_type
        return (
            f'{{"id":{text(self.id)},"created_at":{text(self.created_at)},'
            f'"deleted_by_user_id":{_null_or_text(self.deleted_by_user_id)},'
            f'"resource_id":{text(self.resource_id)},"resource_type":{text(resource_type)},'
            f'"resource_name":{text(self.resource_name)},'
            f'"resource_parent_id":{_null_or_text(self.resource_parent_id)},"object":{text(resource_type)}}}'
        ).encode()


def _null_or_text(value: str | None) -> str:
    return "null" if value is None else _TEXT(value)


def entry_id(moment: Micros, low_bits: int = 0) -> str:
    """An id as Voucherify makes it at ``moment``."""
    milliseconds = (moment - BIN_EPOCH) // 1000
    return f"tbe_{(milliseconds << 30) | low_bits:018x}"


def made_up(identifier: str) -> FakeEntry:
    """The entry that belongs to an id of ``Bin.fill``: everything follows from the id."""
    digits = identifier.removeprefix("tbe_")
    kind = _TYPE_OF_DIGIT.get(digits[-1], "voucher")
    created_at = format_time(BIN_EPOCH + (int(digits, 16) >> 30) * 1000)
    parent = "prod_fake" if kind == "sku" else None
    return FakeEntry(
        identifier, created_at, _PREFIXES[kind] + digits, kind, f"NAME-{digits[6:]}", parent, None
    )


class Bin:
    """Entries in order of their ids. Usable from any thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._ids: list[str] = []
        self._own: dict[str, FakeEntry] = {}
        self._by_resource: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, identifier: str) -> bool:
        index = bisect_left(self._ids, identifier)
        return index < len(self._ids) and self._ids[index] == identifier

    def __iter__(self) -> Iterator[FakeEntry]:
        return map(self.entry, list(self._ids))

    def fill(self, count: int, *, first: Micros = FIRST, step: Micros = 1000) -> None:
        """Add ``count`` made-up entries, one every ``step``."""
        with self.lock:
            new = [entry_id(first + step * number, number * 7 & 0x3FFF_FFFF) for number in range(count)]
            self._ids = sorted(set(self._ids).union(new))

    def add(self, *entries: FakeEntry) -> None:
        with self.lock:
            for entry in entries:
                if entry.id not in self:
                    insort(self._ids, entry.id)
                self._own[entry.id] = entry
                self._by_resource.setdefault(entry.resource_id, {})[entry.id] = None

    def remove(self, identifier: str) -> bool:
        with self.lock:
            if identifier not in self:
                return False
            del self._ids[bisect_left(self._ids, identifier)]
            own = self._own.pop(identifier, None)
            if own is not None:
                self._by_resource[own.resource_id].pop(identifier)
            return True

    def clear(self) -> None:
        with self.lock:
            self._ids.clear()
            self._own.clear()
            self._by_resource.clear()

    def entry(self, identifier: str) -> FakeEntry:
        return self._own.get(identifier) or made_up(identifier)

    def select(self, query: BinQuery) -> tuple[list[FakeEntry], bool]:
        """A page, and whether more follows."""
        with self.lock:
            candidates = self._candidates(query)
            if not query.filters.conditions:
                page = [self.entry(found) for found in islice(candidates, query.limit + 1)]
            else:
                matching = (entry for entry in map(self.entry, candidates) if matches(entry, query.filters))
                page = list(islice(matching, query.limit + 1))
        return page[: query.limit], len(page) > query.limit

    def _candidates(self, query: BinQuery) -> Iterable[str]:
        ids = self._ids
        wanted = _wanted_resources(query.filters)
        if wanted is not None:
            ids = sorted(found for resource in wanted for found in self._of_resource(resource))
        if query.order == "id":
            start = 0 if query.after_id is None else bisect_right(ids, query.after_id)
            return (ids[index] for index in range(start, len(ids)))
        end = len(ids) if query.after_id is None else bisect_left(ids, query.after_id)
        return (ids[index] for index in range(end - 1, -1, -1))

    def _of_resource(self, resource_id: str) -> list[str]:
        found = list(self._by_resource.get(resource_id, ()))
        guess = "tbe_" + resource_id.rpartition("_")[2]
        if guess not in self._own and guess in self and made_up(guess).resource_id == resource_id:
            found.append(guess)
        return found


def _wanted_resources(filters: Filters) -> set[str] | None:
    """The only resources that can match, where the filters say so: spares looking at every entry."""
    if filters.junction == "or" and len(filters.conditions) > 1:
        return None
    for key, conditions in filters.conditions:
        for condition in conditions:
            if key == "resource_id" and condition.operator == "$in":
                return set(condition.values)
    return None


def matches(entry: FakeEntry, filters: Filters) -> bool:
    by_key = (all(_holds(getattr(entry, key), one) for one in found) for key, found in filters.conditions)
    return any(by_key) if filters.junction == "or" and filters.conditions else all(by_key)


_TESTS: dict[str, Callable[[str, tuple[str, ...]], bool]] = {
    "$in": lambda value, wanted: value in wanted,
    "$not_in": lambda value, wanted: value not in wanted,
    "$is": lambda value, wanted: all(value == one for one in wanted),
    "$is_not": lambda value, wanted: all(value != one for one in wanted),
    "$has_value": lambda value, _: value != "",
    "$is_unknown": lambda value, _: value == "",
    "$starts_with": lambda value, wanted: all(value.startswith(one) for one in wanted),
    "$ends_with": lambda value, wanted: all(value.endswith(one) for one in wanted),
    "$contains": lambda value, wanted: all(one in value for one in wanted),
    "$not_contain": lambda value, wanted: all(one not in value for one in wanted),
}


def _holds(value: str, condition: Condition) -> bool:
    return _TESTS[condition.operator](value, condition.values)
