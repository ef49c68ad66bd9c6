"""One process at a time publishes: it holds a lease, whatever it waits for.

The lease only keeps processes from disturbing each other. What makes a late one harmless is the topic's:
opening it shuts every earlier writer out.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from consumer.clock import Clock
from consumer.errors import FencedError, TransientError
from consumer.projection.publishing import PublisherStore

_RELEASE_SECONDS: Final = 3.0


class HeldLease:
    """A lease that is renewed until it is lost. ``check`` before anything that others can see."""

    def __init__(self, epoch: int, clock: Clock, seconds: float, *, asked_at: float) -> None:
        """``asked_at``: when it was asked for, on the monotonic clock; it began no earlier."""
        self.epoch = epoch
        self._clock = clock
        self._seconds = seconds
        self._renewed = asked_at
        self._lost: FencedError | None = None

    def check(self) -> None:
        """Raise FencedError if another process may be publishing by now (this one was frozen, say)."""
        if self._lost is not None:
            raise self._lost
        if self._clock.monotonic() - self._renewed > self._seconds:
            raise FencedError(
                f"this process could not renew its lease for {self._seconds:g} s; another may publish by now"
            )

    async def keep(self, store: PublisherStore) -> None:
        """Renew for ever, or until it is lost."""
        while self._lost is None:
            await asyncio.sleep(self._seconds / 3)
            before = self._clock.monotonic()
            try:
                await store.renew(self.epoch, self._seconds)
            except FencedError as error:
                self._lost = error
            except TransientError:
                pass  # ``check`` tells when it has been too long
            else:
                self._renewed = before


@asynccontextmanager
async def keeping(
    store: PublisherStore, epoch: int, *, clock: Clock, seconds: float, asked_at: float
) -> AsyncIterator[HeldLease]:
    """Keep an acquired lease for the block, then let it go."""
    held = HeldLease(epoch, clock, seconds, asked_at=asked_at)
    keeper = asyncio.create_task(held.keep(store), name="entries-topic-lease")
    try:
        yield held
    finally:
        keeper.cancel()
        await asyncio.wait({keeper})
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await store.release(epoch)
        except (TransientError, TimeoutError):
            pass  # it runs out by itself
