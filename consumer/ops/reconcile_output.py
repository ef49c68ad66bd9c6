"""Where a run's findings go: into the event log, and from there, by the worker, into the bin."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from consumer.clock import Clock
from consumer.errors import TransientError
from consumer.eventlog.base import Appended, Producer
from consumer.log import Logger
from consumer.projection.reconciling import ReconcileStore
from consumer.types import NewRecord

_T = TypeVar("_T")
_FIRST_DELAY: Final = 0.2
_LONGEST_DELAY: Final = 5.0
PATIENCE: Final = 60.0
"""Seconds for which a server of ours may be away before a run ends; it can be taken up later."""
_LOOK_SECONDS: Final = 0.1
_STANDSTILL: Final = 15.0
"""Seconds without progress after which nobody seems to apply what was appended."""


async def patiently(
    work: Callable[[], Awaitable[_T]], *, clock: Clock, log: Logger, project: str, patience: float = PATIENCE
) -> _T:
    """What ``work`` gives, tried again while it meets trouble that may pass."""
    until = clock.monotonic() + patience
    delay = _FIRST_DELAY
    while True:
        try:
            return await work()
        except TransientError as error:
            if clock.monotonic() + delay > until:
                raise
            log.warning("reconcile_retry", project=project, reason=str(error))
        await clock.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)


class Output:
    """Appends records, and knows how far the worker must come for all of them to be in the bin."""

    def __init__(
        self, producer: Producer, store: ReconcileStore, *, clock: Clock, log: Logger, project: str
    ) -> None:
        self._producer = producer
        self._store = store
        self._clock = clock
        self._log = log
        self._project = project
        self._ends: dict[int, int] = {}

    async def append(self, records: Sequence[NewRecord]) -> None:
        """Return once all are durable. Raises LogUnavailableError, RecordRefusedError."""
        waiting = list(records)
        await patiently(
            lambda: self._append_what_waits(waiting), clock=self._clock, log=self._log, project=self._project
        )

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

    async def applied(self) -> bool:
        """Wait until the worker has applied all; False: it has stood still for a while."""
        moved = self._clock.monotonic()
        seen = -1
        while True:
            positions = await patiently(
                self._store.positions, clock=self._clock, log=self._log, project=self._project
            )
            if all(positions.get(partition, 0) >= end for partition, end in self._ends.items()):
                return True
            if sum(positions.values()) != seen:
                seen, moved = sum(positions.values()), self._clock.monotonic()
            if self._clock.monotonic() - moved > _STANDSTILL:
                return False
            await self._clock.sleep(_LOOK_SECONDS)
