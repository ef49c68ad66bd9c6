"""What a batch comes to in a projection that holds nothing of it yet: mostly it does not. Pure.

It is made while the batch before is being committed; what the projection does hold is then judged and folded
by ``application``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

from sqlalchemy import Table

from consumer.projection.base import Gathered, HeldEntry, Incoming, Outcome
from consumer.projection.deliveries import each_once
from consumer.projection.payloads import PayloadCodec
from consumer.projection.rows import Row, entry_row, event_row
from consumer.projection.tables import bin_entries, events
from handlers.changes import Change, Entry, ResourceKey
from handlers.merge import merge

Prepare: TypeAlias = Callable[[Table, Sequence[Row]], Any]
"""See ``Bulk.prepare``."""
Offered: TypeAlias = Sequence[tuple[int, Change]]
"""Changes of one resource, with the offset of the record that brought each."""

_OFFSET: Final = itemgetter(0)


def gather(outcomes: Iterable[Outcome], partition: int, codec: PayloadCodec, prepare: Prepare) -> Gathered:
    """All that can be made of a batch without the database. Raises what ``prepare`` does."""
    found = each_once(outcomes)
    packed = codec.pack_all([incoming.outcome.body for incoming in found.values()])
    event_rows = [
        event_row(
            incoming.outcome,
            attempts=incoming.attempts,
            deliveries=incoming.deliveries,
            partition=partition,
            payload=payload,
        )
        for incoming, payload in zip(found.values(), packed, strict=True)
    ]
    changes = _by_resource(found.values())
    entries = {key: folded(None, offered, partition) for key, offered in changes.items()}
    entry_rows = [entry_row(*held) for held in entries.values()]
    return Gathered(
        found,
        event_rows,
        changes,
        entries,
        entry_rows,
        (prepare(events, event_rows), prepare(bin_entries, entry_rows)),
    )


def folded(before: HeldEntry | None, offered: Offered, partition: int) -> HeldEntry:
    """``before`` with all of ``offered``, at least one, taken in; what came first in the log comes first."""
    held = before
    for offset, change in offered if len(offered) == 1 else sorted(offered, key=_OFFSET):
        entry = merge(held.entry if held else None, change)
        if held is None or visible(entry) != visible(held.entry):
            held = HeldEntry(entry, partition, offset)
        elif entry is not held.entry:
            held = held._replace(entry=entry)
    assert held is not None  # noqa: S101 - something was offered
    return held


def visible(entry: Entry) -> tuple[Any, ...]:
    """What followers see of an entry: it changes, and the entry's position with it."""
    return entry.state, entry.id, entry.fields


def _by_resource(incoming: Iterable[Incoming]) -> Mapping[ResourceKey, Offered]:
    found: dict[ResourceKey, list[tuple[int, Change]]] = {}
    for event in incoming:
        outcome = event.outcome
        for change in outcome.changes:
            found.setdefault(change.key, []).append((outcome.offset, change))
    return {key: found[key] for key in sorted(found)}
