"""What our own events mean for the bin: what a reconcile run saw, what was deleted for good through us."""

from handlers.changes import Change, Fields, ResourceKey, State
from handlers.evidence import evidence_at
from schemas.events import Event
from schemas.own_events import EntryObserved


def observed(event: Event) -> tuple[Change, ...]:
    """The entry is in Voucherify's bin, under Voucherify's own id."""
    own = event.data
    if not isinstance(own, EntryObserved):
        return ()
    fields = Fields(
        created_at=own.created_at,
        resource_name=own.resource_name,
        resource_parent_id=own.resource_parent_id,
        deleted_by_user_id=own.deleted_by_user_id,
    )
    return _change(event, "in_bin", fields, own.entry_id)


def vanished(event: Event) -> tuple[Change, ...]:
    """The entry is no longer in Voucherify's bin: gone for good."""
    return _change(event, "vanished")


def purged(event: Event) -> tuple[Change, ...]:
    """The entry was deleted for good through us. Final."""
    return _change(event, "purged")


def _change(
    event: Event, state: State, fields: Fields | None = None, entry_id: str | None = None
) -> tuple[Change, ...]:
    if event.resource_type is None or event.resource_id is None:
        return ()
    change = Change(
        key=ResourceKey(event.project, event.resource_type, event.resource_id),
        state=state,
        event_id=event.event_id,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        evidence_at=evidence_at(event),
        fields=fields,
        entry_id=entry_id,
    )
    return (change,)
