"""The appends of one partition: gathered into batches, one batch in flight, one deadline for each.

Several batches outstanding on one partition arrive out of order now and then and time out falsely in
aiokafka; partitions wait for each other in nothing.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from aiokafka.errors import MessageSizeTooLargeError, ProducerClosed, RecordListTooLargeError
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


class _Flight(NamedTuple):
    """A batch that aiokafka has."""

    session: Session
    sent: list[_Waiting]
    timer: asyncio.TimerHandle


class Lane:
    """One partition of one producer.

    Callbacks, not a task: the next batch is handed over as soon as the one before is acknowledged, so that it
    goes into the very next request, with those of the broker's other partitions.
    """

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
        self._flight: _Flight | None = None
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
        if not self._waiting and self._flight is None:
            loop.call_soon(self._send)
        self._waiting.append(_Waiting(record, answer, self._clock.monotonic()))
        return answer

    async def flushed(self) -> None:
        """Return when nothing waits for an answer any more. Each batch has a deadline: this ends."""
        while True:
            taken = (*(self._flight.sent if self._flight is not None else ()), *self._waiting)
            unanswered = [each.answer for each in taken if not each.answer.done()]
            if not unanswered:
                return
            await asyncio.wait(unanswered)

    def _send(self) -> None:
        """Hand the next batch over, if there is one and none is in flight."""
        if not self._waiting or self._flight is not None:
            return
        left = self._waiting[0].since + self._deadline - self._clock.monotonic()
        if left <= 0:
            overloaded = f"partition {self._partition}: overloaded for {self._deadline:g} s"
            self._fail_waiting(LogUnavailableError(overloaded))
            return
        try:
            session = self._session()
        except LogUnavailableError as error:
            self._fail_waiting(error)
            return
        records = [waiting.record for waiting in self._waiting]
        try:
            count, acknowledged = session.send(
                self._partition, records, timestamp=self._clock.now() // 1000, limit=self._batch_bytes
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, this producer cannot be trusted any more
            self._failed(session, error)
            self._fail_waiting(self._unavailable(error))
            return
        sent, self._waiting = self._waiting[:count], self._waiting[count:]
        self._metrics.append_batch_size.observe(count)
        timer = asyncio.get_running_loop().call_later(left, self._late)
        self._flight = _Flight(session, sent, timer)
        acknowledged.add_done_callback(self._acknowledged)

    def _late(self) -> None:
        if self._flight is None:
            return
        # aiokafka goes on trying for ever; until it has an answer, this partition takes nothing.
        self.overdue_since = self._clock.monotonic()
        late = LogUnavailableError(f"partition {self._partition}: no acknowledgement in {self._deadline:g} s")
        self._fail(self._flight.sent, late)
        self._fail_waiting(late)

    def _acknowledged(self, acknowledged: "asyncio.Future[RecordMetadata]") -> None:
        """Also after ``_late``: what was sent has its answers then."""
        flight, self._flight = self._flight, None
        if flight is None:
            raise AssertionError("one batch is in flight at a time")
        flight.timer.cancel()
        self.overdue_since = None
        error = ProducerClosed() if acknowledged.cancelled() else acknowledged.exception()
        if error is None:
            # What waits goes first: then the broker has something to do while these are answered.
            self._send()
            self._settle(flight.sent, acknowledged.result().offset)
            return
        # The producer has counted the batch although it was not stored: every later one would be out of
        # order. So any failure ends the producer; aiokafka itself repeats what is worth repeating.
        self._failed(flight.session, error)
        if isinstance(error, _TOO_LARGE):
            self._too_large(flight.sent, error)
        else:
            self._fail(flight.sent, self._unavailable(error))
        self._send()

    def _settle(self, sent: list[_Waiting], base: int) -> None:
        for index, waiting in enumerate(sent):
            if not waiting.answer.done():
                # -1: the broker had the batch already (a repeat) and does not know any more where.
                position = Position(self._partition, base + index) if base >= 0 else None
                waiting.answer.set_result(Appended(position, "log"))

    def _too_large(self, sent: list[_Waiting], error: BaseException) -> None:
        """The topic takes less than its configuration said. Narrow it down to the record, batch by batch."""
        if len(sent) == 1:
            reason = f"partition {self._partition}: the topic refuses the record as too large"
            self._fail(sent, RecordRefusedError(reason))
        else:
            self._batch_bytes = max(1, self._batch_bytes // 2)
            self._fail(sent, self._unavailable(error))

    def _fail_waiting(self, error: BinmirrorError) -> None:
        waiting, self._waiting = self._waiting, []
        self._fail(waiting, error)

    def _fail(self, waiting: list[_Waiting], error: BinmirrorError) -> None:
        """Answer with ``error`` whoever has no answer yet."""
        unanswered = [each.answer for each in waiting if not each.answer.done()]
        reason = "refused" if isinstance(error, RecordRefusedError) else "unavailable"
        self._metrics.log_failures.labels(reason).inc(len(unanswered))
        for answer in unanswered:
            answer.set_exception(type(error)(*error.args))

    def _unavailable(self, error: BaseException) -> LogUnavailableError:
        return LogUnavailableError(f"partition {self._partition}: {type(error).__name__}: {error}")
