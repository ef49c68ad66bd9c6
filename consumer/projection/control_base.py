"""The contract of the control tables: what operators do and order, beside what the log says.

Never part of a rebuild, always part of a backup. All times are the database's.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from schemas.times import Micros

AuditResult: TypeAlias = Literal["done", "partly", "failed", "interrupted"]
"""partly: some of it, or it found something that a person has to look at. interrupted: by Ctrl-C; the same
command may take it up again."""

ALIVE_SECONDS: Final = 15.0
"""A stopped worker says every second that it still waits; silent for longer, its process is gone."""


class AuditLine(NamedTuple):
    """Who did what, when, to what, with which result."""

    audit_id: str
    began_at: Micros
    ended_at: Micros | None
    """None while it runs, and for ever if its process was killed."""
    who: str
    action: str
    """For example ``events.redrive``, ``reconcile``, ``worker.pause``."""
    project: str | None
    filters: Mapping[str, object]
    reason: str | None
    result: AuditResult | None
    counts: Mapping[str, int]


class Pause(NamedTuple):
    """An operator's order that workers wait."""

    paused_at: Micros
    who: str
    reason: str | None


class WorkerStop(NamedTuple):
    """A worker that has stopped by itself and waits for an operator."""

    worker: str
    stopped_at: Micros
    reason: str
    seen_ago: float
    """Seconds since its process last said that it still waits; a large number: the process is gone."""


class WorkerState(NamedTuple):
    """What is ordered, and who has stopped."""

    pause: Pause | None
    stops: Sequence[WorkerStop]
    """Those of dead processes only until other workers have caught up with the log."""


class Audit(Protocol):
    """Who did what. Like the others here it raises ProjectionUnavailableError, SchemaMismatchError."""

    async def begin(
        self,
        audit_id: str,
        *,
        who: str,
        action: str,
        project: str | None = None,
        filters: Mapping[str, object] | None = None,
        reason: str | None = None,
    ) -> None:
        """Write the line before anything is done. The same id again: the line stays, and is open again."""

    async def finish(self, audit_id: str, *, result: AuditResult, counts: Mapping[str, int]) -> None:
        """Complete the line. May be called again with higher counts."""

    async def lines(self, *, limit: int = 50) -> Sequence[AuditLine]:
        """The newest lines first."""


class WorkerOrders(Protocol):
    """The worker's side: what it has been told, and that it has stopped."""

    async def pause(self) -> Pause | None:
        """The order to wait, if there is one."""

    async def stopped(self, worker: str, reason: str) -> None:
        """Note that ``worker`` has stopped by itself and waits to be told to go on."""

    async def still_stopped(self, worker: str) -> bool:
        """Say that the process is alive. False: an operator has told it to go on."""

    async def gone(self, worker: str) -> None:
        """The process ends, or goes on: nobody needs to tell it."""


class WorkerControl(Protocol):
    """The operator's side."""

    async def state(self) -> WorkerState:
        """What is ordered, and who has stopped."""

    async def order_pause(self, *, who: str, reason: str | None) -> bool:
        """Have all workers wait. False: they do already; that order stays."""

    async def order_resume(self) -> WorkerState:
        """Have all workers go on; returns the state before."""
