"""What the worker keeps of one partition, and the check that a log is the one its checkpoint knows."""

from collections.abc import Iterable
from dataclasses import dataclass

from consumer.errors import LogMismatchError, LogUnavailableError
from consumer.eventlog.base import Reader
from consumer.projection.base import Checkpoint, ProjectionWriter
from consumer.types import Bounds
from consumer.waiting import backoff
from consumer.worker.interpret import digest

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 5.0
_END_GRACE = 6
"""How many looks at a log that is too short make it too short: a broker just back may report an old end."""


@dataclass(slots=True)
class Owned:
    """A partition acquired: our epoch, and where the projection stands."""

    epoch: int
    next_offset: int
    seen: tuple[int, float] | None = None
    """The log's end when it was last looked at, and when that was (monotonic clock)."""

    def caught_up_as_of(self, end: int, looked_at: float) -> float | None:
        """Since when all is applied that the log held then: now, at the last look, or neither.

        Where records never cease, the end of now is never reached, but that of a moment ago is.
        """
        before, self.seen = self.seen, (end, looked_at)
        if self.next_offset >= end:
            return looked_at
        return before[1] if before is not None and self.next_offset >= before[0] else None


@dataclass(slots=True)
class Pending:
    """A partition assigned but not acquired (any more): when to try next."""

    due: float
    """On the monotonic clock."""
    attempts: int = 0
    standby: bool = False
    """Another worker holds the lease."""

    def postpone(self, now: float) -> None:
        """Back off: exponentially, with jitter."""
        self.due = now + backoff(self.attempts, first=_FIRST_DELAY, longest=_LONGEST_DELAY)
        self.attempts += 1


class Partitions:
    """Tells the projection which partitions the log has, so that one that nobody works at is missed."""

    def __init__(self, writer: ProjectionWriter) -> None:
        self._writer = writer
        self._told: set[int] = set()

    async def tell(self, log_id: str, partitions: Iterable[int]) -> None:
        """Raises ProjectionUnavailableError."""
        new = set(partitions) - self._told
        if new:
            await self._writer.know(log_id, sorted(new))
            self._told |= new


async def verify_log(
    reader: Reader, partition: int, checkpoint: Checkpoint, bounds: Bounds, *, attempts: int
) -> None:
    """Check that the log still holds the record that was applied last.

    ``attempts``: how often the partition could not be acquired before.

    Raises:
        LogMismatchError: shorter than what was applied, expired records, or another record at that offset.
        LogUnavailableError: the log does not answer, or seems too short but may only be behind.
    """
    if checkpoint.next_offset > bounds.end:
        too_short = _past_the_end(partition, checkpoint, bounds)
        if reader.exclusive and attempts < _END_GRACE:
            raise LogUnavailableError(str(too_short))
        raise too_short
    if checkpoint.next_offset < bounds.start:
        raise LogMismatchError(
            f"partition {partition}: the next record to apply is offset {checkpoint.next_offset}, but the "
            f"log starts at {bounds.start}: records expired or were deleted unread. {WHAT_TO_DO}"
        )
    if checkpoint.next_offset in {0, bounds.start}:
        return
    last = await reader.read_at(partition, checkpoint.next_offset - 1)
    if last is None or digest(last) != checkpoint.digest:
        raise LogMismatchError(
            f"partition {partition}: the record at offset {checkpoint.next_offset - 1} is not the one that "
            f"was applied: this is another log than before. {WHAT_TO_DO}"
        )


WHAT_TO_DO = (
    "Put the right log back; or, if this log is the one to go on with, start it with an empty projection "
    "(a new PROJECTION address), which is then rebuilt from it."
)


def _past_the_end(partition: int, checkpoint: Checkpoint, bounds: Bounds) -> LogMismatchError:
    return LogMismatchError(
        f"partition {partition}: the projection has applied records up to offset "
        f"{checkpoint.next_offset - 1}, but the log ends at {bounds.end}: an older copy of the log was put "
        f"back, or the topic was made anew. {WHAT_TO_DO}"
    )
