"""A lease of the projection's database, held for as long as work lasts, whatever the work waits for.

Leases only keep processes from disturbing each other: what makes a late one harmless is elsewhere.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Generic, Protocol, TypeVar

from consumer.clock import Clock
from consumer.errors import FencedError, TransientError

_L = TypeVar("_L")
_Taken_contra = TypeVar("_Taken_contra", contravariant=True)

_RELEASE_SECONDS: Final = 3.0


class Leases(Protocol[_Taken_contra]):
    """Where a lease was acquired. FencedError: it is another's by now."""

    async def renew(self, lease: _Taken_contra, seconds: float, /) -> None: ...

    async def release(self, lease: _Taken_contra, /) -> None:
        """Let go, if it is still ours."""


class HeldLease(Generic[_L]):
    """Renewed until it is lost. ``check`` before anything that others can see."""

    def __init__(self, lease: _L, what: str, clock: Clock, seconds: float, *, asked_at: float) -> None:
        """``what`` it is for, in words. ``asked_at``: when, on the monotonic clock; it began no earlier."""
        self.lease = lease
        self._what = what
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
                f"{self._what}: this process could not renew its lease for {self._seconds:g} s; "
                "another one may be at work by now"
            )

    async def keep(self, leases: Leases[_L], failed: Callable[[TransientError], None]) -> None:
        """Renew for ever, or until it is lost."""
        while self._lost is None:
            await asyncio.sleep(self._seconds / 3)
            before = self._clock.monotonic()
            try:
                await leases.renew(self.lease, self._seconds)
            except FencedError as error:
                self._lost = error
            except TransientError as error:
                failed(error)  # ``check`` tells when it has been too long
            else:
                self._renewed = before


@asynccontextmanager
async def keeping(
    leases: Leases[_L], held: HeldLease[_L], *, name: str, failed: Callable[[TransientError], None]
) -> AsyncIterator[HeldLease[_L]]:
    """Keep an acquired lease for the block, in a task of this ``name``; then let it go."""
    keeper = asyncio.create_task(held.keep(leases, failed), name=name)
    try:
        yield held
    finally:
        keeper.cancel()
        await asyncio.wait({keeper})
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await leases.release(held.lease)
        except (TransientError, TimeoutError):
            pass  # it runs out by itself
