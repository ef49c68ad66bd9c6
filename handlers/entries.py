"""What our own events mean for the bin: what a reconcile run saw, what was deleted for good through us."""

from handlers.changes import Change, Fields
from handlers.evidence import change_of
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
    return change_of(event, "in_bin", fields, own.entry_id)


def vanished(event: Event) -> tuple[Change, ...]:
    """The entry is no longer in Voucherify's bin: gone for good."""
    return change_of(event, "vanished")


def purged(event: Event) -> tuple[Change, ...]:
    """The entry was deleted for good through us. Final."""
    return change_of(event, "purged")
