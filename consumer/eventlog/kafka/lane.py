"""The appends of one partition: gathered into batches, one batch in flight, one deadline for each.

Several batches outstanding on one partition arrive out of order now and then and time out falsely in
aiokafka; partitions wait for each other in nothing.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.structs import RecordMetadata

from consumer.clock import Clock
from consumer.errors import BinmirrorError, LogUnavailableError, RecordRefusedError
from consumer.eventlog.base import Appended
from consumer.eventlog.kafka.session import BATCH_BYTES, Session
from consumer.metrics import Metrics
from consumer.types import NewRecord, Position

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)


class _Waiting(NamedTuple):
    record: NewRecord
    answer: "asyncio.Future[Appended]"
    since: float


class Lane:
    """One partition of one producer."""

    def __init__(
        self,
        partition: int,
        *,
        session: Callable[[], Session],
        failed: Callable[[Session, BaseException], None],
        deadline: float,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._partition = partition
        self._session = session
        self._failed = failed
        self._deadline = deadline
        self._clock = clock
        self._metrics = metrics
        self._batch_bytes = BATCH_BYTES
        self._waiting: list[_Waiting] = []
        self._work: asyncio.Task[None] | None = None
        self.overdue_since: float | None = None
        """Since when a batch has been in flight past its deadline; nothing else is sent meanwhile."""

    def append(self, record: NewRecord) -> "asyncio.Future[Appended]":
        """A future of the answer. All appends of a tick share a batch.

        Raises:
            LogUnavailableError: an earlier batch is still without answer.

        """
        if self.overdue_since is not None:
            raise LogUnavailableError(f"partition {self._partition} does not answer")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Appended] = loop.create_future()
        self._waiting.append(_Waiting(record, answer, self._clock.monotonic()))
        if self._work is None:
            self._work = loop.create_task(self._drain(), name=f"kafka-append-{self._partition}")
        return answer

    async def flushed(self) -> None:
        """Return when nothing waits for an answer any more. Each batch has a deadline: this ends."""
        while self._work is not None:
            await asyncio.wait([self._work])

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._send_one()
        except LogUnavailableError as error:
            self._fail(self._waiting, error)
        finally:
            self._work = None

    async def _send_one(self) -> None:
        session = self._session()
        due = self._waiting[0].since + self._deadline
        if due <= self._clock.monotonic():
            raise LogUnavailableError(f"partition {self._partition}: overloaded for {self._deadline:g} s")
        records = [waiting.record for waiting in self._waiting]
        try:
            async with asyncio.timeout(due - self._clock.monotonic()):
                count, acknowledged = await session.send(
                    self._partition, records, timestamp=self._clock.now() // 1000, limit=self._batch_bytes
                )
        except Exception as error:
            self._failed(session, error)
            raise self._unavailable(error) from error
        sent, self._waiting = self._waiting[:count], self._waiting[count:]
        self._metrics.append_batch_size.observe(count)
        await asyncio.wait([acknowledged], timeout=max(0.0, due - self._clock.monotonic()))
        if acknowledged.done():
            self._settle(session, sent, acknowledged)
            return
        # aiokafka goes on trying for ever; until it has an answer, this partition takes nothing.
        self.overdue_since = self._clock.monotonic()
        acknowledged.add_done_callback(lambda future: self._answered_late(session, future))
        late = LogUnavailableError(f"partition {self._partition}: no acknowledgement in {self._deadline:g} s")
        self._fail(sent, late)
        raise late

    def _answered_late(self, session: Session, acknowledged: "asyncio.Future[RecordMetadata]") -> None:
        self.overdue_since = None
        error = None if acknowledged.cancelled() else acknowledged.exception()
        if error is not None:
            self._failed(session, error)

    def _settle(
        self, session: Session, sent: list[_Waiting], acknowledged: "asyncio.Future[RecordMetadata]"
    ) -> None:
        error = acknowledged.exception()
        if error is None:
            base = acknowledged.result().offset
            for index, waiting in enumerate(sent):
                if not waiting.answer.done():
                    # -1: the broker had the batch already (a repeat) and does not know any more where.
                    position = Position(self._partition, base + index) if base >= 0 else None
                    waiting.answer.set_result(Appended(position, "log"))
            return
        # The producer has counted the batch although it was not stored: every later one would be out of
        # order. So any failure ends the producer; aiokafka itself repeats what is worth repeating.
        self._failed(session, error)
        if isinstance(error, _TOO_LARGE):
            self._too_large(sent, error)
        else:
            self._fail(sent, self._unavailable(error))

    def _too_large(self, sent: list[_Waiting], error: BaseException) -> None:
        """The topic takes less than its configuration said. Narrow it down to the record, batch by batch."""
        if len(sent) == 1:
            reason = f"partition {self._partition}: the topic refuses the record as too large"
            self._fail(sent, RecordRefusedError(reason))
        else:
            self._batch_bytes = max(1, self._batch_bytes // 2)
            self._fail(sent, self._unavailable(error))

    def _fail(self, waiting: list[_Waiting], error: BinmirrorError) -> None:
        reason = "refused" if isinstance(error, RecordRefusedError) else "unavailable"
        self._metrics.log_failures.labels(reason).inc(len(waiting))
        for each in waiting:
            if not each.answer.done():
                each.answer.set_exception(type(error)(*error.args))
        if waiting is self._waiting:
            self._waiting = []

    def _unavailable(self, error: BaseException) -> LogUnavailableError:
        return LogUnavailableError(f"partition {self._partition}: {type(error).__name__}: {error}")
