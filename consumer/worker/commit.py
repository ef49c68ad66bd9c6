"""Commits a batch, and isolates the records whose values the database refuses."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from consumer.clock import Clock
from consumer.errors import DataRejectedError
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.projection.base import Batch, BatchResult, Gathered, Outcome, ProjectionWriter
from consumer.types import Record
from consumer.worker.interpret import digest, rejected
from consumer.worker.partition import Owned


class UnderWay(NamedTuple):
    """A commit that goes on while the next batch is read."""

    partition: int
    commit: asyncio.Task[None]


class Portion(NamedTuple):
    """Consecutive records of a partition, and what they mean."""

    records: Sequence[Record]
    outcomes: Sequence[Outcome]
    gathered: Gathered | None = None
    """See ``Batch.gathered``."""

    def halves(self) -> "tuple[Portion, Portion]":
        half = len(self.records) // 2
        return (
            Portion(self.records[:half], self.outcomes[:half]),
            Portion(self.records[half:], self.outcomes[half:]),
        )


class Committer:
    """Takes interpreted records into the projection, advancing ``Owned.next_offset`` with every commit."""

    def __init__(
        self,
        writer: ProjectionWriter,
        *,
        clock: Clock,
        metrics: Metrics,
        log: Logger,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._metrics = metrics
        self._log = log

    async def commit(self, log_id: str, partition: int, owned: Owned, portion: Portion) -> None:
        """Commit all of ``portion``; refused data is halved until the record is alone, then failed.

        Raises:
            FencedError, ProjectionUnavailableError: ``owned`` says how far it came.
        """
        try:
            await self._once(log_id, partition, owned, portion)
        except DataRejectedError as error:
            if len(portion.records) > 1:
                for half in portion.halves():
                    await self.commit(log_id, partition, owned, half)
            else:
                await self._isolated(log_id, partition, owned, portion, error)

    async def _isolated(
        self, log_id: str, partition: int, owned: Owned, portion: Portion, error: DataRejectedError
    ) -> None:
        (outcome,) = portion.outcomes
        self._log.error(
            "record_isolated",
            partition=partition,
            offset=outcome.offset,
            event_id=outcome.event.event_id,
            reason=str(error),
        )
        try:
            refused = Portion(portion.records, [rejected(outcome, bare=False)])
            await self._once(log_id, partition, owned, refused)
        except DataRejectedError:
            refused = Portion(portion.records, [rejected(outcome, bare=True)])
            await self._once(log_id, partition, owned, refused)

    async def _once(self, log_id: str, partition: int, owned: Owned, portion: Portion) -> None:
        started = self._clock.monotonic()
        records, outcomes, gathered = portion
        last = records[-1]
        batch = Batch(
            log_id=log_id,
            partition=partition,
            epoch=owned.epoch,
            start=records[0].offset,  # were it not where the projection stands, the commit would be fenced
            end=last.offset + 1,
            digest=digest(last),
            outcomes=outcomes,
            gathered=gathered,
        )
        result = await self._writer.commit(batch)
        owned.next_offset = batch.end
        self._report(batch, result, round((self._clock.monotonic() - started) * 1000, 3))

    def _report(self, batch: Batch, result: BatchResult, milliseconds: float) -> None:
        for outcome in batch.outcomes:
            if outcome.event.failure is not None:
                self._log.warning(
                    "event_failed",
                    project=outcome.event.project,
                    event_id=outcome.event.event_id,
                    partition=batch.partition,
                    offset=outcome.offset,
                    code=outcome.event.failure.code,
                    reason=outcome.event.failure.message,
                )
        self._metrics.batch_events.observe(len(batch.outcomes))
        for status, count in result.by_status.items():
            self._metrics.events.labels(status).inc(count)
        self._metrics.events.labels("duplicate").inc(result.duplicates)
        self._metrics.entries_changed.inc(result.entries_changed)
        self._log.info(
            "batch",
            partition=batch.partition,
            start=batch.start,
            end=batch.end,
            new=result.new_events,
            duplicates=result.duplicates,
            **result.by_status,
            entries_changed=result.entries_changed,
            ms=milliseconds,
        )
