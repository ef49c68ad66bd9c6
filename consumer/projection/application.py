"""A batch's way into the projection, inside one transaction: events, entries, counts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection

from consumer.projection.base import Batch, BatchResult, HeldEntry, Incoming, Interpret, Outcome
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
from consumer.projection.deliveries import judge
from consumer.projection.gathering import Offered, folded, gather, visible
from consumer.projection.inserts import insert_into
from consumer.projection.payloads import PayloadCodec
from consumer.projection.removals import remove_entries
from consumer.projection.rows import (
    ENTRY_COLUMNS,
    EVENT_COLUMNS,
    EventKey,
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

_OF_EVENT: Final = itemgetter(*map(EVENT_COLUMNS.index, ("project", "status")))
_OF_ENTRY: Final = itemgetter(*map(ENTRY_COLUMNS.index, ("project", "resource_type", "state")))


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
        self._gathered = batch.gathered or gather(batch.outcomes, batch.partition, codec, bulk.prepare)
        self._counts: Counter[_CountKey] = Counter()
        self._by_status: Counter[str] = Counter()
        self._changes: dict[ResourceKey, Offered] = dict(self._gathered.changes)
        """Of new events. Where they are the very ones gathered, so is what they fold into."""
        self._anew: dict[ResourceKey, int] = {}
        """Resources to fold from all their stored events, with the offset of the record that asks for it."""
        self._decided: list[Outcome] = []
        """Operators' decisions that are new."""

    def run(self) -> BatchResult:
        """Write everything; what the database refuses is raised as the driver does."""
        new_events = self._take_events()
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

    def _take_events(self) -> int:
        # Everybody inserts and locks in the keys' order, so that two workers never wait for each other.
        incoming, rows = self._gathered.events, self._gathered.event_rows
        prepared = self._gathered.prepared[0]
        concerned = sorted({*incoming, *targets}) if (targets := _targets(incoming.values())) else [*incoming]
        stored = {row[:2]: StoredEvent(*row) for row in self._bulk.select(STORED_EVENTS, concerned)}
        known = [(held, incoming[key]) for key, held in stored.items() if key in incoming]
        if known:
            rows, prepared = [row for row in rows if row[:2] not in stored], None
            self._leave_out([event for _, event in known])
        self._bulk.insert(events, rows, prepared)
        for (project, status), number in Counter(map(_OF_EVENT, rows)).items():
            self._by_status[status] += number
            self._counts["events", project, "", status] += number
        if targets:
            self._decided = [
                event.outcome
                for key, event in incoming.items()
                if event.outcome.decision is not None and key not in stored
            ]
        self._redeliver(known)
        return len(rows)

    def _redeliver(self, pairs: Sequence[tuple[StoredEvent, Incoming]]) -> None:
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
                self._note_changes(event.outcome.offset, event.outcome.changes)
                if event.outcome.decision is not None:
                    self._decided.append(event.outcome)
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
            payload=self._codec.pack(event.outcome.body),
        )

    def _leave_out(self, known: Sequence[Incoming]) -> None:
        """The changes of events that are stored already count once."""
        counted = {id(change) for event in known for change in event.outcome.changes}
        for key in {change.key for event in known for change in event.outcome.changes}:
            kept = [offered for offered in self._changes.pop(key) if id(offered[1]) not in counted]
            if kept:
                self._changes[key] = kept

    def _note_changes(self, offset: int, changes: Iterable[Change]) -> None:
        for change in changes:
            self._changes[change.key] = [*self._changes.get(change.key, ()), (offset, change)]

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
        self._note_changes(settled.offset, settled.changes)
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
        inserted = self._insert_entries([key for key in keys if key not in held], history)
        updated, gone = [], []
        for key, before in held.items():
            after = self._folded(key, before, history)
            if after == before:
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

    def _insert_entries(self, keys: Sequence[ResourceKey], history: dict[ResourceKey, list[Change]]) -> int:
        gathered = self._gathered
        if len(keys) == len(gathered.entries) and not self._anew and self._changes == gathered.changes:
            rows, prepared = gathered.entry_rows, gathered.prepared[1]
        else:
            new = (self._folded(key, None, history) for key in keys)
            rows, prepared = [entry_row(*entry) for entry in new if entry is not None], None
        for (project, resource_type, state), number in Counter(map(_OF_ENTRY, rows)).items():
            self._counts["entries", project, resource_type, state] += number
        return self._bulk.insert(bin_entries, rows, prepared)

    def _folded(
        self, key: ResourceKey, before: HeldEntry | None, history: dict[ResourceKey, list[Change]]
    ) -> HeldEntry | None:
        partition = self._batch.partition
        if key in self._anew:
            entry = _fold_all(history.get(key, ()))
            if entry is None or before is None:
                return None if entry is None else HeldEntry(entry, partition, self._anew[key])
            entry = entry._replace(sort_key=before.entry.sort_key)
            if visible(entry) == visible(before.entry):
                return before._replace(entry=entry)
            return HeldEntry(entry, partition, self._anew[key])
        changes = self._changes[key]
        if before is None and changes is self._gathered.changes.get(key):
            return self._gathered.entries[key]
        return folded(before, changes, partition)

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


def _discarded(event: Incoming) -> Incoming:
    return event._replace(outcome=event.outcome._replace(status="discarded"))


def _targets(incoming: Iterable[Incoming]) -> set[EventKey]:
    return {
        (event.outcome.event.project, event.outcome.decision.target_event_id)
        for event in incoming
        if event.outcome.decision is not None
    }
