"""A batch's way into the projection, inside one transaction: events, entries, counts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import Connection

from consumer.projection.base import Batch, BatchResult, Incoming, Interpret, Outcome
from consumer.projection.bulk import (
    APPLIED_EVENTS,
    CHANGED_ENTRIES,
    ENTRIES,
    EVENT_CONTENTS,
    EVENT_DELIVERIES,
    STORED_EVENTS,
    Bulk,
)
from consumer.projection.decisions import Settled, reinterpreted, settle
from consumer.projection.deliveries import gather, judge
from consumer.projection.inserts import insert_into
from consumer.projection.payloads import PayloadCodec
from consumer.projection.removals import remove_entries
from consumer.projection.rows import (
    EventKey,
    HeldEntry,
    Row,
    StoredEvent,
    entry_row,
    event_row,
    held_entry,
)
from consumer.projection.tables import bin_entries, counts, events
from handlers.changes import Change, Entry, ResourceKey
from handlers.merge import merge

_CountKey: TypeAlias = tuple[str, str, str, str]
"""Kind, project, resource type (empty for events), state or status."""


class Application:
    """One batch, used once. The checkpoint has been moved before."""

    def __init__(
        self, connection: Connection, bulk: Bulk, codec: PayloadCodec, interpret: Interpret, batch: Batch
    ) -> None:
        self._connection = connection
        self._bulk = bulk
        self._codec = codec
        self._interpret = interpret
        self._batch = batch
        self._gathered = batch.gathered or gather(batch.outcomes, codec)
        self._counts: Counter[_CountKey] = Counter()
        self._by_status: Counter[str] = Counter()
        self._changes: dict[ResourceKey, list[tuple[int, Change]]] = {}
        """By resource, with the offset of the record that brought each."""
        self._anew: dict[ResourceKey, int] = {}
        """Resources to fold from all their stored events, with the offset of the record that asks for it."""
        self._decided: list[Outcome] = []
        """Operators' decisions that are new."""

    def run(self) -> BatchResult:
        """Write everything; what the database refuses is raised as the driver does."""
        new_events = self._take_events(self._gathered.events)
        self._settle_decisions()
        entries_changed = self._fold()
        self._write_counts()
        return BatchResult(
            new_events=new_events,
            duplicates=len(self._batch.outcomes) - new_events,
            by_status=dict(self._by_status),
            entries_changed=entries_changed,
        )

    # Events

    def _take_events(self, incoming: Mapping[EventKey, Incoming]) -> int:
        # Everybody inserts and locks in the keys' order, so that two workers never wait for each other.
        keys = sorted(incoming)
        concerned = sorted({*keys, *targets}) if (targets := _targets(incoming.values())) else keys
        stored = {row[:2]: StoredEvent(*row) for row in self._bulk.select(STORED_EVENTS, concerned)}
        new = (
            [incoming[key] for key in keys if key not in stored]
            if stored
            else [incoming[key] for key in keys]
        )
        # Rows are made while they are written: the database works on one while the next is made.
        self._bulk.insert(events, (self._row(event, event.attempts, event.deliveries) for event in new))
        self._by_status.update(event.outcome.status for event in new)
        self._counts.update(
            ("events", event.outcome.event.project, "", event.outcome.status) for event in new
        )
        for event in new:
            self._note_changes(event)
        self._redeliver([(held, incoming[key]) for key, held in stored.items() if key in incoming])
        return len(new)

    def _redeliver(self, pairs: Iterable[tuple[StoredEvent, Incoming]]) -> None:
        contents, deliveries = [], []
        for held, incoming in pairs:
            verdict = judge(held, incoming, self._codec)
            event = _discarded(incoming) if verdict == "rewrite" else incoming
            attempts = held.attempts + (0 if verdict in {"count", "correct"} else event.attempts)
            delivered = held.deliveries + event.deliveries
            if verdict in {"count", "attempt"}:
                deliveries.append((attempts, delivered, held.project, held.event_id))
            else:
                row = self._row(event, attempts, delivered)
                contents.append((*row[2:], *row[:2]))
                self._counts["events", held.project, "", held.status] -= 1
                self._counts["events", held.project, "", event.outcome.status] += 1
            if verdict != "count":
                self._by_status[event.outcome.status] += 1
            if verdict == "recover":
                self._note_changes(event)
            elif verdict == "correct":
                self._note_correction(held, event)
        self._bulk.update(EVENT_DELIVERIES, deliveries)
        self._bulk.update(EVENT_CONTENTS, contents)

    def _row(self, event: Incoming, attempts: int, deliveries: int) -> tuple[Any, ...]:
        return event_row(
            event.outcome,
            attempts=attempts,
            deliveries=deliveries,
            partition=self._batch.partition,
            payload=self._gathered.payloads[event.outcome.event.project, event.outcome.event.event_id],
        )

    def _note_changes(self, event: Incoming) -> None:
        for change in event.outcome.changes:
            self._changes.setdefault(change.key, []).append((event.outcome.offset, change))
        if event.outcome.decision is not None:
            self._decided.append(event.outcome)

    def _note_correction(self, held: StoredEvent, event: Incoming) -> None:
        concerned = [change.key for change in event.outcome.changes]
        if held.resource_type is not None and held.resource_id is not None:
            concerned.append(ResourceKey(held.project, held.resource_type, held.resource_id))
        for key in concerned:
            self._anew[key] = max(event.outcome.offset, self._anew.get(key, 0))

    def _settle_decisions(self) -> None:
        # A decision that failed may itself be redriven: then it is carried out in the next round.
        while self._decided:
            decided, self._decided = self._decided, []
            for settled in settle(self._bulk, self._codec, self._interpret, self._batch.partition, decided):
                self._note_settled(settled)

    def _note_settled(self, settled: Settled) -> None:
        if settled.before is not None:
            self._counts["events", settled.project, "", settled.before] -= 1
        self._counts["events", settled.project, "", settled.after] += 1
        self._by_status[settled.after] += 1
        for change in settled.changes:
            self._changes.setdefault(change.key, []).append((settled.offset, change))
        if settled.anew is not None:
            self._anew[settled.anew] = max(settled.offset, self._anew.get(settled.anew, 0))
        if settled.decided is not None:
            self._decided.append(settled.decided)

    # Entries

    def _fold(self) -> int:
        keys = sorted({*self._changes, *self._anew})
        held = {entry.entry.key: entry for entry in map(held_entry, self._bulk.select(ENTRIES, keys))}
        # Their rows are locked now: what others have applied to them is committed and can be read.
        history = self._history()
        inserted = self._bulk.insert(
            bin_entries, self._new_entries([key for key in keys if key not in held], history)
        )
        updated, gone = [], []
        for key in keys:
            before = held.get(key)
            if before is None or (after := self._folded(key, before, history)) == before:
                continue
            self._count_entry(before, -1)
            if after is None:
                gone.append(key)
            else:
                self._count_entry(after, 1)
                row = entry_row(*after)
                updated.append((*row[3:], *row[:3]))
        self._bulk.update(CHANGED_ENTRIES, updated)
        remove_entries(self._connection, self._batch.partition, {key: self._anew[key] for key in gone})
        return inserted + len(updated) + len(gone)

    def _new_entries(
        self, keys: Iterable[ResourceKey], history: dict[ResourceKey, list[Change]]
    ) -> Iterator[Row]:
        for key in keys:
            entry = self._folded(key, None, history)
            if entry is not None:
                self._count_entry(entry, 1)
                yield entry_row(*entry)

    def _folded(
        self, key: ResourceKey, before: HeldEntry | None, history: dict[ResourceKey, list[Change]]
    ) -> HeldEntry | None:
        partition = self._batch.partition
        if key in self._anew:
            entry = _fold_all(history.get(key, ()))
            if entry is None or before is None:
                return None if entry is None else HeldEntry(entry, partition, self._anew[key])
            entry = entry._replace(sort_key=before.entry.sort_key)
            if _visible(entry) == _visible(before.entry):
                return before._replace(entry=entry)
            return HeldEntry(entry, partition, self._anew[key])
        changes = self._changes[key]
        if len(changes) > 1:
            changes.sort(key=itemgetter(0))  # what came first in the log gives the sort key
        held = before
        for offset, change in changes:
            entry = merge(held.entry if held else None, change)
            if held is None or _visible(entry) != _visible(held.entry):
                held = HeldEntry(entry, partition, offset)
            elif entry is not held.entry:
                held = held._replace(entry=entry)
        return held

    def _history(self) -> dict[ResourceKey, list[Change]]:
        """All changes of the resources to fold anew, read from their stored events, this batch's included."""
        found: dict[ResourceKey, list[Change]] = {}
        keys = sorted((key.project, key.resource_id, key.resource_type) for key in self._anew)
        rows = self._bulk.select(APPLIED_EVENTS, keys) if keys else []
        for row in sorted(rows, key=lambda row: row[:2]):
            for change in reinterpreted(row, self._codec, self._interpret).changes:
                if change.key in self._anew:
                    found.setdefault(change.key, []).append(change)
        return found

    def _count_entry(self, held: HeldEntry, number: int) -> None:
        entry = held.entry
        self._counts["entries", entry.key.project, entry.key.resource_type, entry.state] += number

    # Counts

    def _write_counts(self) -> None:
        columns = ("kind", "project", "resource_type", "state")
        rows = [
            {**dict(zip(columns, key, strict=True)), "log_partition": self._batch.partition, "rows": number}
            for key, number in sorted(self._counts.items())
            if number
        ]
        if rows:
            new = insert_into(counts, self._connection)
            key = list(counts.primary_key.columns)
            total = counts.c.rows + new.excluded.rows
            self._connection.execute(
                new.on_conflict_do_update(index_elements=key, set_={"rows": total}), rows
            )


def _fold_all(changes: Sequence[Change]) -> Entry | None:
    entry = None
    for change in changes:
        entry = merge(entry, change)
    return entry


def _visible(entry: Entry) -> tuple[Any, ...]:
    return entry.state, entry.id, entry.fields


def _discarded(event: Incoming) -> Incoming:
    return event._replace(outcome=event.outcome._replace(status="discarded"))


def _targets(incoming: Iterable[Incoming]) -> set[EventKey]:
    return {
        (event.outcome.event.project, event.outcome.decision.target_event_id)
        for event in incoming
        if event.outcome.decision is not None
    }
