"""One process at a time: holds a project's lease while a run works, whatever it waits for."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from consumer.clock import Clock
from consumer.errors import BinmirrorError, TransientError
from consumer.log import Logger
from consumer.projection.held_lease import HeldLease, keeping
from consumer.projection.reconcile_base import Lease, ReconcileStore

LEASE_SECONDS: Final = 10.0
_BUSY_SECONDS: Final = 0.5


class BusyError(BinmirrorError):
    """Another process reconciles this project."""


class BusyWait(NamedTuple):
    """How long to wait for another process, and whom to tell of it, once."""

    seconds: float
    tell: Callable[[str], None]


@asynccontextmanager
async def holding(
    store: ReconcileStore,
    project: str,
    owner: str,
    *,
    clock: Clock,
    log: Logger,
    seconds: float,
    waiting: BusyWait | None = None,
) -> AsyncIterator[HeldLease[Lease]]:
    """Hold the project's lease for the block. Raises BusyError."""
    until = clock.monotonic() + (waiting.seconds if waiting else 0.0)
    told = False
    while True:
        before = clock.monotonic()
        lease = await store.acquire(project, owner, seconds)
        if not isinstance(lease, str):
            break
        words = f"project {project} is being reconciled by {lease}"
        if waiting is None or before >= until:
            raise BusyError(f"{words}; if that process is dead, its lease ends within {seconds:g} s")
        if not told:
            waiting.tell(words)
            told = True
        await clock.sleep(_BUSY_SECONDS)
    held = HeldLease(lease, f"project {project}", clock, seconds, asked_at=before)

    def failed(error: TransientError) -> None:
        log.warning("reconcile_retry", project=project, reason=str(error))

    async with keeping(store, held, name="reconcile-lease", failed=failed):
        yield held
