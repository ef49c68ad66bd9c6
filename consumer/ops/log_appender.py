"""Appending own records to the event log, and waiting until the worker has applied them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from consumer.clock import Clock
from consumer.errors import TransientError
from consumer.eventlog.base import Appended, Producer
from consumer.types import NewRecord

_T = TypeVar("_T")
_FIRST_DELAY: Final = 0.2
_LONGEST_DELAY: Final = 5.0
PATIENCE: Final = 30.0
"""Seconds for which log or database may be away before the operation gives up."""
STANDSTILL: Final = 15.0
"""Seconds without progress after which no worker seems to work."""
_LOOK_SECONDS: Final = 0.1


class LogAppender:
    """Appends records, and knows how far the worker has to come for all of them to be applied."""

    def __init__(
        self,
        producer: Producer,
        positions: Callable[[], Awaitable[Mapping[int, int]]],
        *,
        clock: Clock,
        standstill: float = STANDSTILL,
        patience: float = PATIENCE,
        retried: Callable[[TransientError], None] = lambda _: None,
    ) -> None:
        """``positions``: partition → first offset not applied yet. ``retried`` hears of each failure."""
        self._producer = producer
        self._positions = positions
        self._clock = clock
        self._standstill = standstill
        self._patience = patience
        self._retried = retried
        self._ends: dict[int, int] = {}

    async def append(self, records: Sequence[NewRecord]) -> None:
        """Return once all are durable. Raises LogUnavailableError, RecordRefusedError."""
        waiting = list(records)
        await self.retrying(lambda: self._append_what_waits(waiting))

    async def applied(self) -> bool:
        """Wait until the worker has applied all; False: it stands still."""
        moved, seen = self._clock.monotonic(), -1
        while True:
            positions = await self.retrying(self._positions)
            if all(positions.get(partition, 0) >= end for partition, end in self._ends.items()):
                return True
            if sum(positions.values()) != seen:
                seen, moved = sum(positions.values()), self._clock.monotonic()
            if self._clock.monotonic() - moved > self._standstill:
                return False
            await self._clock.sleep(_LOOK_SECONDS)

    async def retrying(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """What ``work`` gives, tried again while it meets trouble that may pass."""
        until = self._clock.monotonic() + self._patience
        delay = _FIRST_DELAY
        while True:
            try:
                return await work()
            except TransientError as error:
                if self._clock.monotonic() + delay > until:
                    raise
                self._retried(error)
            await self._clock.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def _append_what_waits(self, waiting: list[NewRecord]) -> None:
        results = await asyncio.gather(
            *(self._producer.append(record) for record in waiting), return_exceptions=True
        )
        failed: list[NewRecord] = []
        trouble: TransientError | None = None
        for record, result in zip(waiting, results, strict=True):
            if isinstance(result, Appended):
                if result.position is not None:
                    partition, offset = result.position
                    self._ends[partition] = max(offset + 1, self._ends.get(partition, 0))
            elif isinstance(result, TransientError):
                failed.append(record)
                trouble = result
            else:
                raise result
        waiting[:] = failed
        if trouble is not None:
            raise trouble
