"""The contract of the projection: the local copy of the bin, with its events and checkpoints.

Two sides: ``ProjectionWriter`` for the worker, ``ProjectionReader`` for everything that asks.
One implementation serves SQLite and PostgreSQL; both pass the conformance suite.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from handlers.changes import Change, Entry, ResourceKey
from schemas.events import Delivery, Event, EventStatus
from schemas.times import Micros
from schemas.trash_bin import BinQuery

CONSUMER: Final = "projection"
GENERATION: Final = 1
"""Whose checkpoints the projection's are; a rebuild beside it would be another generation."""

FOREIGN_RECORD: Final = "foreign_record"
"""Failure code of a record without our headers. It is never redriven: its body must not be taken for a
webhook whose signature was checked."""


class Decision(NamedTuple):
    """What an operator decided about another event of the same project."""

    action: Literal["redriven", "discarded"]
    """redriven: a failed or ignored event is handled again; others are left alone. discarded: whatever it
    was, it counts for nothing, whether it comes before or after. That is final."""
    target_event_id: str
    decided_at: Micros
    who: str | None
    reason: str | None


class Outcome(NamedTuple):
    """What the worker makes of one record: the event, what became of it, and what it changes."""

    event: Event
    status: EventStatus
    """``failed`` exactly when ``event.failure`` is set."""
    changes: tuple[Change, ...]
    """Of the event's own resource: what is folded anew is found by it."""
    body: bytes
    offset: int
    decision: Decision | None = None


Interpret: TypeAlias = Callable[[Delivery, int], Outcome]
"""Pure: delivery and offset → outcome. The store calls it again on a stored payload when an entry has to
be folded anew from its events, and when an event is redriven."""


class Checkpoint(NamedTuple):
    """A partition's position, as acquired: ``epoch`` is ours until someone acquires again."""

    next_offset: int
    """First offset not applied yet; 0 in a new projection."""
    epoch: int
    digest: bytes | None
    """Of the record at ``next_offset - 1`` (see ``consumer.worker``); None at 0."""


class Incoming(NamedTuple):
    """One event of a batch, however often it was delivered."""

    outcome: Outcome
    """Of the delivery that counts: the least among those that can be applied, else among the failed."""
    deliveries: int
    attempts: int
    """How often it was handled: until it could be applied, later deliveries only count."""


class HeldEntry(NamedTuple):
    """An entry as stored, with the position of the record that last changed a visible field."""

    entry: Entry
    partition: int
    offset: int


class Gathered(NamedTuple):
    """What a batch comes to in a projection that holds nothing of it yet. All in the order of the keys."""

    events: Mapping[tuple[str, str], Incoming]
    event_rows: Sequence[Sequence[Any]]
    changes: Mapping[ResourceKey, Sequence[tuple[int, Change]]]  # with their records' offsets
    entries: Mapping[ResourceKey, HeldEntry]
    entry_rows: Sequence[Sequence[Any]]
    prepared: tuple[Any, Any]
    """``Bulk.prepare`` of either rows."""


class Batch(NamedTuple):
    """Contiguous outcomes of one partition, offsets ``start <= offset < end``."""

    log_id: str
    partition: int
    epoch: int
    start: int
    end: int
    digest: bytes
    """Of the record at ``end - 1``."""
    outcomes: Sequence[Outcome]
    gathered: Gathered | None = None
    """What ``ProjectionWriter.gather`` made of the outcomes, if it was asked beforehand."""


class BatchResult(NamedTuple):
    """What one commit did."""

    new_events: int
    duplicates: int
    by_status: Mapping[str, int]
    """New or newly handled events by status."""
    entries_changed: int


class ProjectionWriter(Protocol):
    """The worker's side. One writing connection; calls are serialized."""

    async def start(self) -> None:
        """Connect, check (SQLite: run) migrations.

        Raises ProjectionUnavailableError (SchemaOutdatedError: not migrated yet), SchemaMismatchError.
        """

    async def acquire(
        self, log_id: str, partition: int, *, owner: str, lease: float | None
    ) -> Checkpoint | None:
        """Take the partition over: the epoch grows by one, so a former owner's commits are fenced.

        ``lease`` in seconds (logs whose reader is not exclusive): None is returned while another owner's
        lease, by the database's clock, has not run out. Commits and ``renew`` extend it.

        Raises:
            LogMismatchError: this consumer has checkpoints of another log and none of ``log_id``.
            ProjectionUnavailableError

        """

    async def renew(
        self, log_id: str, partition: int, *, epoch: int, lease: float | None, end_seen: float | None
    ) -> None:
        """Extend the lease; with ``end_seen`` note that all is applied that the log held then.

        ``end_seen`` is a reading of the monotonic clock that the writer was given; noted is that moment by
        the database's clock.

        Raises FencedError, ProjectionUnavailableError.
        """

    async def know(self, log_id: str, partitions: Sequence[int]) -> None:
        """Note that the log has these partitions, whether or not anybody has acquired them."""

    async def release(self, log_id: str, partition: int, *, epoch: int) -> None:
        """End the lease now, if ``epoch`` is still ours."""

    def gather(self, partition: int, outcomes: Sequence[Outcome]) -> Gathered | None:
        """What can be done about a batch before it is committed: work for the processor alone.

        May be called on another thread, one at a time, while another batch is being committed.
        None: the database will refuse some of it, and the commit says so.
        """

    async def commit(self, batch: Batch) -> BatchResult:
        """Apply a batch in one transaction (checkpoint, events, entries), or nothing of it.

        Idempotent by event identity; see docs/design.md for what duplicates do.

        Raises:
            FencedError: epoch or start is not the checkpoint's. Nothing was written.
            DataRejectedError: the database refuses a value (SQLSTATE 22, 23). Nothing was written.
            ProjectionUnavailableError: anything that may work later. It may have been committed: the
                retry with the same batch then raises FencedError, and acquiring again shows the position.

        """

    async def stop(self) -> None:
        """Close. Idempotent."""


class Page(NamedTuple):
    """Entries in listing order, and whether more follow."""

    entries: Sequence[Entry]
    has_more: bool


class EventRow(NamedTuple):
    """An event as stored."""

    project: str
    event_id: str
    source: str
    type: str
    occurred_at: Micros
    received_at: Micros
    delivery_id: str
    voucherify_project: str | None
    channel: str | None
    group_id: str | None
    user_id: str | None
    resource_type: str | None
    resource_id: str | None
    resource_name: str | None
    status: EventStatus
    failure_code: str | None
    failure_message: str | None
    attempts: int
    deliveries: int
    partition: int
    offset: int
    body: bytes | None
    """Only from ``event``; None in listings."""


class EventQuery(NamedTuple):
    """Filters of an events listing; None means any. Newest first: by (received_at, project, event id),
    descending. ``received_from`` is included, ``received_until`` is not.
    """

    project: str | None = None
    status: str | None = None
    type: str | None = None
    failure_code: str | None = None
    channel: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    received_from: Micros | None = None
    received_until: Micros | None = None
    text: str | None = None
    """Occurs in the event's, resource's or log's id, the resource's name or the failure's message."""
    limit: int = 50
    after: tuple[Micros, str, str] | None = None
    """(received_at, project, event id) of the last row seen."""


class CheckpointRow(NamedTuple):
    """A checkpoint, for operators."""

    consumer: str
    generation: int
    log_id: str
    partition: int
    next_offset: int
    epoch: int
    lease_owner: str | None
    caught_up_at: Micros | None
    """When the worker last saw the end of the log."""


class ProjectionInfo(NamedTuple):
    """What an operator wants to know of the projection."""

    kind: Literal["sqlite", "postgresql"]
    address: str
    """Without credentials."""
    server_version: str
    schema_version: str
    latest_schema_version: str
    checkpoints: Sequence[CheckpointRow]
    entries: Mapping[tuple[str, str, str], int]
    """(project, resource type, state) → count."""
    events: Mapping[tuple[str, str], int]
    """(project, status) → count."""
    last_deliveries: Mapping[str, Micros]
    """project → received_at of the newest verified delivery."""


class ProjectionReader(Protocol):
    """The side of everyone who asks. Safe for concurrent use; short read transactions."""

    async def start(self) -> None:
        """Connect. Raises ProjectionUnavailableError, SchemaMismatchError."""

    async def list_bin(self, project: str, query: BinQuery) -> Page:
        """Listed entries (states ``deleted`` and ``in_bin``) by ``(sort_key, resource_type, resource_id)``.

        ``query.after_id`` is a shown, provisional or real id of any entry of the project (listed or not),
        or else a position in the text order of ids.
        """

    async def entry(self, project: str, entry_id: str) -> Entry | None:
        """By shown, provisional or real id."""

    async def events(self, query: EventQuery) -> Sequence[EventRow]:
        """A page of events, newest first, without bodies."""

    async def event(self, project: str | None, event_id: str) -> EventRow | None:
        """One event with its body; ``project`` None: whichever project has it."""

    async def info(self) -> ProjectionInfo:
        """Raises ProjectionUnavailableError, SchemaMismatchError."""

    async def ping(self) -> None:
        """A trivial query. Raises ProjectionUnavailableError, SchemaMismatchError."""

    async def stop(self) -> None:
        """Close. Idempotent."""
