"""What an entry of Voucherify's bin means for the mirror, and the record that tells it. Pure."""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from pydantic import ValidationError

from consumer.ops.own_records import own_record
from consumer.projection.reconcile_base import Held, Key, Run
from consumer.types import NewRecord
from handlers.changes import Fields
from schemas.own_events import EntryObserved, EntryVanished
from schemas.text import is_storable
from schemas.times import Micros
from schemas.voucherify_bin import VoucherifyEntry

Finding: TypeAlias = Literal[
    "same", "lacking", "real_id", "confirmed", "changed", "back", "purged_here_only", "skipped"
]
"""same: nothing to say. lacking: not in the mirror. real_id: Voucherify's id for a provisional one.
confirmed: only a webhook had told of it. changed: fields or id differ. back: it had vanished.
purged_here_only: deleted for good through us, yet there: never undone. skipped: of a type that this
version does not know, or with text that no database stores."""

NEWS: Final[frozenset[Finding]] = frozenset({"lacking", "real_id", "confirmed", "changed", "back"})
"""What becomes a record."""


def judge(entry: VoucherifyEntry, held: Held | None) -> Finding:
    """What ``entry`` means, given what the mirror has of its resource."""
    if held is None:
        return "lacking"
    if held.state == "purged":
        return "purged_here_only"
    if held.state == "vanished":
        return "back"
    if held.entry_id is None:
        return "real_id"
    if held.entry_id != entry.id or held.fields != _fields(entry):
        return "changed"
    return "same" if held.state == "in_bin" else "confirmed"


def latest(entries: Iterable[VoucherifyEntry]) -> dict[Key, VoucherifyEntry]:
    """Entries by resource; of two of one resource the later in the listing."""
    return {(entry.resource_type, entry.resource_id): entry for entry in entries}


def storable(entry: VoucherifyEntry) -> bool:
    """Whether the mirror can hold an entry of this resource."""
    return entry.known and is_storable(entry.resource_id)


def observed(entry: VoucherifyEntry, run: Run, now: Micros) -> NewRecord | None:
    """The record that says that ``entry`` is in Voucherify's bin; None: its text cannot be stored."""
    created_at, name, parent, user = _fields(entry)
    try:
        event = EntryObserved(
            project=run.project,
            run_id=run.run_id,
            evidence_at=run.started_at,
            resource_type=entry.resource_type,  # type: ignore[arg-type]  # checked by pydantic
            resource_id=entry.resource_id,
            entry_id=entry.id,
            created_at=created_at,
            resource_name=name,
            resource_parent_id=parent,
            deleted_by_user_id=user,
        )
    except ValidationError:
        return None
    return own_record(event, now).record


def vanished(key: Key, run: Run, now: Micros) -> NewRecord:
    """The record that says that a resource's entry is no longer there."""
    resource_type, resource_id = key
    event = EntryVanished.model_validate(
        {
            "project": run.project,
            "run_id": run.run_id,
            "evidence_at": run.started_at,
            "resource_type": resource_type,
            "resource_id": resource_id,
        }
    )
    return own_record(event, now).record


def by_type(keys: Iterable[Key]) -> dict[str, list[str]]:
    """Resource ids by type."""
    found: dict[str, list[str]] = {}
    for resource_type, resource_id in keys:
        found.setdefault(resource_type, []).append(resource_id)
    return found


def _fields(entry: VoucherifyEntry) -> Fields:
    name = entry.resource_name or entry.resource_id
    return Fields(entry.created_at, name, entry.resource_parent_id, entry.deleted_by_user_id)
