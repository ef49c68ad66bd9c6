"""The fold: one pure function that takes a change into an entry, in any order, any number of times.

Each part of an entry is a maximum or minimum over the changes seen, so merging is commutative,
associative and idempotent; ``sort_key`` alone depends on what came first, by intent: a listing in
progress must not see an entry move.
"""

from typing import Final

from handlers.changes import Change, Entry
from schemas.events import State
from schemas.ids import provisional_entry_id

_RANK: Final[dict[State, int]] = {"deleted": 0, "in_bin": 1, "vanished": 2, "purged": 3}
"""Decides between evidence of the same time; ``purged`` is final and beats any time."""


def merge(entry: Entry | None, change: Change) -> Entry:
    """``entry`` with ``change`` taken in; the same object when nothing changes.

    Pure and total: every change fits every entry of its resource, ``purged`` before ``deleted`` too.
    """
    if entry is None:
        return _first(change)
    if _is_stronger(change, entry):
        entry = entry._replace(
            state=change.state, evidence_at=change.evidence_at, evidence_event_id=change.event_id
        )
    if change.state == "deleted":
        return _with_deletion(entry, change)
    if change.state == "in_bin":
        return _with_observation(entry, change)
    return entry


def _first(change: Change) -> Entry:
    provisional = _provisional_id(change)
    deleted = change.state == "deleted"
    observed = change.state == "in_bin"
    return Entry(
        key=change.key,
        state=change.state,
        evidence_at=change.evidence_at,
        evidence_event_id=change.event_id,
        sort_key=change.entry_id or provisional,
        provisional_id=provisional if deleted else None,
        entry_id=change.entry_id,
        fields=change.fields,
        snapshot_event_id=change.event_id if deleted else None,
        snapshot_occurred_at=change.occurred_at if deleted else None,
        observed_at=change.evidence_at if observed else None,
        observed_event_id=change.event_id if observed else None,
    )


def _is_stronger(change: Change, entry: Entry) -> bool:
    if (change.state == "purged") != (entry.state == "purged"):
        return change.state == "purged"
    return (change.evidence_at, _RANK[change.state], change.event_id) > (
        entry.evidence_at,
        _RANK[entry.state],
        entry.evidence_event_id,
    )


def _with_deletion(entry: Entry, change: Change) -> Entry:
    if entry.snapshot_event_id is not None and entry.snapshot_occurred_at is not None:
        held = (entry.snapshot_occurred_at, entry.snapshot_event_id)
        if (change.occurred_at, change.event_id) >= held:
            return entry
    return entry._replace(
        provisional_id=_provisional_id(change),
        snapshot_event_id=change.event_id,
        snapshot_occurred_at=change.occurred_at,
        fields=change.fields if entry.observed_at is None else entry.fields,
    )


def _with_observation(entry: Entry, change: Change) -> Entry:
    if entry.observed_at is not None and entry.observed_event_id is not None:
        held = (entry.observed_at, entry.observed_event_id)
        if (change.evidence_at, change.event_id) <= held:
            return entry
    return entry._replace(
        entry_id=change.entry_id,
        fields=change.fields,
        observed_at=change.evidence_at,
        observed_event_id=change.event_id,
    )


def _provisional_id(change: Change) -> str:
    moment = change.fields.created_at if change.fields is not None else change.occurred_at
    return provisional_entry_id(*change.key, moment, change.received_at)
