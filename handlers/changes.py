"""What an event changes, and the entry that the changes fold into. Plain values, no behaviour."""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from schemas.events import Event, State
from schemas.times import Micros

LISTED_STATES: Final[tuple[State, ...]] = ("deleted", "in_bin")


class ResourceKey(NamedTuple):
    """The identity of a bin entry."""

    project: str
    resource_type: str
    resource_id: str


class Fields(NamedTuple):
    """The fields of the bin API that evidence brings along."""

    created_at: Micros
    resource_name: str
    resource_parent_id: str | None
    deleted_by_user_id: str | None


class Change(NamedTuple):
    """One piece of evidence about one resource.

    ``deleted`` brings ``fields``; ``in_bin`` brings ``fields`` and ``entry_id``; ``vanished`` and
    ``purged`` bring neither.
    """

    key: ResourceKey
    state: State
    event_id: str
    occurred_at: Micros
    """The event's own time; decides which deletion holds the snapshot."""
    received_at: Micros
    evidence_at: Micros
    """When this was true at Voucherify: the event's time, not after ``received_at``; for a reconcile the
    run's start."""
    fields: Fields | None = None
    entry_id: str | None = None
    """Voucherify's own id of the entry (``tbe_…``)."""


class Entry(NamedTuple):
    """A bin entry: the fold of all changes of one resource (``sort_key`` aside, of the set of them)."""

    key: ResourceKey
    state: State
    evidence_at: Micros
    evidence_event_id: str
    sort_key: str
    """Position in the listing: the id it first appeared under; never changes."""
    provisional_id: str | None
    """Made from the deletion that holds the snapshot; None without one."""
    entry_id: str | None
    """Voucherify's own; None until known."""
    fields: Fields | None
    """From the latest observation in Voucherify's bin, else from the snapshot; None when only known gone."""
    snapshot_event_id: str | None
    """The deletion with the least (occurred_at, event id)."""
    snapshot_occurred_at: Micros | None
    observed_at: Micros | None
    """Evidence time of the observation that ``entry_id`` and ``fields`` come from."""
    observed_event_id: str | None

    @property
    def id(self) -> str:
        """The id that the API shows."""
        return self.entry_id or self.provisional_id or self.sort_key


Handler: TypeAlias = Callable[[Event], tuple[Change, ...]]
"""What an event means. Pure; raises nothing for an event without ``failure``."""
