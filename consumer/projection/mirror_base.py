"""The contract of what only the mirror tells: pages of the event log, and numbers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from consumer.projection.base import EventQuery, EventRow
from schemas.times import Micros


class EventPage(NamedTuple):
    """Events, newest first, and where the next page starts."""

    events: Sequence[EventRow]
    more_after: tuple[Micros, str] | None
    """(Received at, event id) for ``EventQuery.after``, beside the project; None: nothing older matches.

    A page looks only so far, however rare what is asked for: it may hold few events, or none, and yet have
    a next one."""


class PartitionReach(NamedTuple):
    """How far the projection has come in a partition of the log."""

    partition: int
    next_offset: int
    caught_up_at: Micros | None
    """When the end of the log was last seen, by the database's clock."""
    behind: Micros | None
    """How long ago that was, by the same clock."""


class Stats(NamedTuple):
    """Numbers of one project."""

    entries: Mapping[tuple[str, str], int]
    """(Resource type, state) → how many."""
    events: Mapping[str, int]
    """Status → how many."""
    received: Mapping[Micros, int]
    """Start of an hour → events received in it; hours without any are left out."""
    failures: Mapping[str, int]
    """Failure code → events failed, of those received in these hours."""
    partitions: Sequence[PartitionReach]


class MirrorReader(Protocol):
    """Safe for concurrent use. Raises ProjectionUnavailableError, SchemaMismatchError."""

    async def events(self, query: EventQuery) -> EventPage:
        """A page of the events of ``query.project``, which must be named, without bodies."""

    async def stats(self, project: str, received_from: Micros, received_until: Micros) -> Stats:
        """Numbers; those by hour from ``received_from``, a whole hour, to the last begun before the other."""
