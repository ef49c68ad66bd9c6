"""What the topic of entries is told of a change: the entry as it is, and a tombstone where it is gone.

An entry that was purged or has vanished gets both, in one transaction: first its last value, which tells a
subscriber who is following *why* it goes (and, since a vanished code may be given out anew, what its name
was); a tombstone says no more than the key. Compaction leaves the tombstone alone, and in the end nothing.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from consumer.eventlog.entries_base import TopicRecord
from consumer.projection.changes_base import ChangedEntry
from handlers.changes import LISTED_STATES, Entry
from schemas.bin_entry import BinEntry
from schemas.ids import record_key
from schemas.positions import LogPosition
from schemas.records import entry_headers
from schemas.times import format_time

_AT_ONCE: Final = 200
"""Changes that are made into records without a pause: some 3 ms."""


def is_listed(change: ChangedEntry) -> bool:
    """Whether the entry is in the bin now."""
    return change.entry is not None and change.entry.state in LISTED_STATES


def key_of(change: ChangedEntry) -> bytes:
    return record_key(*change.key, "")


def records_of(changes: Iterable[ChangedEntry]) -> list[TopicRecord]:
    """In the order of the changes."""
    records = []
    for change in changes:
        if change.entry is not None:
            records.append(_value(change, change.entry))
        if not is_listed(change):
            records.append(_tombstone(change))
    return records


async def records_in_turns(changes: Sequence[ChangedEntry]) -> list[TopicRecord]:
    """As ``records_of``; between some of them the event loop does what else there is, such as deliveries."""
    records = []
    for start in range(0, len(changes), _AT_ONCE):
        records += records_of(changes[start : start + _AT_ONCE])
        await asyncio.sleep(0)
    return records


def tombstone_of(key: bytes) -> TopicRecord:
    """For a key that has no entry any more, nor ever had one here."""
    project = key.partition(b"/")[0].decode("utf-8", "replace")
    return TopicRecord(key, None, entry_headers(key, project, "none", None, removed=True))


def value_of(change: ChangedEntry, entry: Entry) -> BinEntry:
    """The entry as the topic shows it."""
    fields = entry.fields
    return BinEntry.model_construct(
        project=change.key.project,
        resource_type=change.key.resource_type,  # type: ignore[arg-type]  # one of the four, as in the key
        resource_id=change.key.resource_id,
        id=entry.id,
        state=entry.state,
        resource_name=None if fields is None else fields.resource_name,
        resource_parent_id=None if fields is None else fields.resource_parent_id,
        created_at=None if fields is None else format_time(fields.created_at),
        deleted_by_user_id=None if fields is None else fields.deleted_by_user_id,
        position=LogPosition.model_construct(**change.position._asdict()),
    )


def _value(change: ChangedEntry, entry: Entry) -> TopicRecord:
    key = key_of(change)
    headers = entry_headers(key, change.key.project, _place(change), entry.evidence_at, removed=False)
    return TopicRecord(key, value_of(change, entry).model_dump_json().encode(), headers)


def _tombstone(change: ChangedEntry) -> TopicRecord:
    key = key_of(change)
    moment = None if change.entry is None else change.entry.evidence_at
    return TopicRecord(
        key, None, entry_headers(key, change.key.project, _place(change), moment, removed=True)
    )


def _place(change: ChangedEntry) -> str:
    return f"{change.position.partition}-{change.position.offset}"
