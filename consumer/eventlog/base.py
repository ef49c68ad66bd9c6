"""The contract of the event log. Adapters: ``sqlite``, ``kafka``; ``spool`` wraps a producer.

A log is a set of partitions, each an append-only sequence of records with offsets 0, 1, 2, …
Nothing in it is ever changed. Every adapter passes the conformance suite in ``tests/conformance``.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from consumer.types import Bounds, NewRecord, Position, Record


class Appended(NamedTuple):
    """The answer to an append: durable, and where."""

    position: Position | None
    """None where it is not known (in the spool, or the broker did not say)."""
    stored: Literal["log", "spool"]


class Producer(Protocol):
    """Appends records. Safe to call from many tasks of one event loop; appends of a tick share one write."""

    async def start(self) -> None:
        """Open what it needs. Raises LogUnavailableError, StopError."""

    async def append(self, record: NewRecord) -> Appended:
        """Return once ``record`` is durable.

        SQLite: committed and fsynced. Kafka: acknowledged by all in-sync replicas.
        Cancelling does not take the record back: it may be stored all the same.

        Raises:
            LogUnavailableError: not acknowledged within the adapter's deadline; it may be stored.
            RecordRefusedError: the log will never take this record.
            NotDurableError: (spooling producers only) neither log nor spool took it in time.

        """

    async def ping(self) -> None:
        """Find out, cheaply and without appending a record, whether an append would work now.

        Raises:
            LogUnavailableError, NotDurableError: as ``append`` would.
        """

    async def stop(self) -> None:
        """Flush what was accepted under a deadline, then release everything. Never hangs; idempotent."""


class Poll(NamedTuple):
    """What one poll brought. Handle in this order: revoked, assigned, records."""

    revoked: frozenset[int]
    """Partitions no longer ours, ``assigned`` again or not: drop their state."""
    assigned: frozenset[int]
    """Newly ours; they bring no records until ``seek``."""
    records: Mapping[int, Sequence[Record]]
    """Per partition, contiguous: each continues the position set by ``seek`` or the previous poll."""


class Reader(Protocol):
    """Reads the partitions that the group gives to this member. Used by one task only.

    The reader holds positions in memory alone; where to start is the caller's to say (``seek``).
    """

    @property
    def log_id(self) -> str:
        """The log's identity, independent of its address. SQLite: the file's UUID; Kafka: the topic's name.

        Valid after ``start``.
        """

    @property
    def exclusive(self) -> bool:
        """True when the group gives a partition to one member at a time (Kafka). False: every member
        is given every partition, and the caller needs a lease (SQLite).
        """

    @property
    def settled(self) -> bool:
        """Whether the group has said, since its last rebalance, which partitions are ours; perhaps none."""

    async def start(self) -> None:
        """Join. Raises LogUnavailableError, StopError."""

    async def poll(self, *, max_records: int, wait: float) -> Poll:
        """Wait up to ``wait`` seconds for news. At most ``max_records`` records in all.

        Raises:
            LogUnavailableError: the log does not answer.
            LogMismatchError: records continuing the position do not exist any more (expired, truncated).

        """

    async def seek(self, partition: int, offset: int) -> None:
        """Go on at ``offset``. Resumes a newly assigned partition.

        Records already fetched for another position are never returned afterwards.
        """

    async def pause(self, partition: int) -> None:
        """Bring no more records of ``partition`` until ``seek``. It stays assigned; the session lives on."""

    async def read_at(self, partition: int, offset: int) -> Record | None:
        """The record at ``offset``; None when the log does not hold it. For an assigned partition whose
        position is not set (before ``seek``, or after ``pause``). Raises LogUnavailableError.
        """

    async def bounds(self) -> Mapping[int, Bounds]:
        """Start and end of every partition of the log, assigned or not. Raises LogUnavailableError."""

    async def stop(self) -> None:
        """Leave the group under a deadline. Never hangs; idempotent."""


class LogInfo(NamedTuple):
    """What an operator wants to know of a log, for ``status`` and health."""

    kind: Literal["sqlite", "kafka"]
    address: str
    """Without credentials."""
    log_id: str
    bounds: Mapping[int, Bounds]
    details: Mapping[str, str | int | bool]
    """For example replication factor, min.insync.replicas, SQLite version, file size in bytes."""


class LogAdmin(Protocol):
    """Looks at a log without joining its group."""

    async def describe(self) -> LogInfo:
        """Raises LogUnavailableError; StopError when there is no such log yet."""

    async def close(self) -> None:
        """Release everything. Idempotent."""
