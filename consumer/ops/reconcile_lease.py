"""One process at a time: holds a project's lease while a run works, whatever it waits for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from consumer.clock import Clock
from consumer.errors import BinmirrorError, FencedError, TransientError
from consumer.log import Logger
from consumer.projection.reconciling import Lease, ReconcileStore

LEASE_SECONDS: Final = 10.0
_RELEASE_SECONDS: Final = 5.0
_BUSY_SECONDS: Final = 0.5


class BusyError(BinmirrorError):
    """Another process reconciles this project."""


class HeldLease:
    """A lease that is renewed until it is lost. ``check`` before anything that others can see."""

    def __init__(self, lease: Lease, clock: Clock, seconds: float, *, asked_at: float) -> None:
        """``asked_at``: when it was asked for, on the monotonic clock; it began no earlier."""
        self.lease = lease
        self._clock = clock
        self._seconds = seconds
        self._renewed = asked_at
        self._lost: FencedError | None = None

    def check(self) -> None:
        """Raise FencedError if another process may be at work by now (this one was frozen, for example)."""
        if self._lost is not None:
            raise self._lost
        if self._clock.monotonic() - self._renewed > self._seconds:
            raise FencedError(
                f"project {self.lease.project}: this process could not renew its lease for "
                f"{self._seconds:g} s; another one may reconcile by now"
            )

    async def keep(self, store: ReconcileStore, log: Logger) -> None:
        """Renew for ever, or until it is lost."""
        while self._lost is None:
            await asyncio.sleep(self._seconds / 3)
            before = self._clock.monotonic()
            try:
                await store.renew(self.lease, self._seconds)
            except FencedError as error:
                self._lost = error
            except TransientError as error:
                log.warning("reconcile_retry", project=self.lease.project, reason=str(error))
            else:
                self._renewed = before


class Waiting(NamedTuple):
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
    waiting: Waiting | None = None,
) -> AsyncIterator[HeldLease]:
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
    held = HeldLease(lease, clock, seconds, asked_at=before)
    keeper = asyncio.create_task(held.keep(store, log), name="reconcile-lease")
    try:
        yield held
    finally:
        keeper.cancel()
        await asyncio.wait({keeper})
        await _let_go(store, lease)


async def _let_go(store: ReconcileStore, lease: Lease) -> None:
    """Failing to is harmless: it runs out by itself."""
    try:
        async with asyncio.timeout(_RELEASE_SECONDS):
            await store.release(lease)
    except (TransientError, TimeoutError):
        pass
