"""Group commit: rows of many tasks share one durable write, and the next one collects meanwhile."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from consumer.clock import Clock
from consumer.errors import BinmirrorError, LogUnavailableError
from consumer.eventlog.database_thread import DatabaseThread

Row = TypeVar("Row")


class _Batch(Generic[Row]):
    __slots__ = ("futures", "rows", "size", "timer", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.rows: list[Row] = []
        self.futures: list[asyncio.Future[int]] = []
        self.size = 0
        self.timer: asyncio.TimerHandle | None = None


class GroupCommit(Generic[Row]):
    """Two batches at most: one is being written on the thread, one collects. Lives on one event loop.

    What a row costs on the loop is a future of its own (so that cancelling one waiter leaves the
    others alone); timer, hand-over to the thread and answer are shared by the batch.
    """

    def __init__(
        self,
        thread: DatabaseThread,
        write: Callable[[Sequence[Row]], int],
        *,
        after: Callable[[], None],
        written: Callable[[Sequence[Row]], None],
        failed: Callable[[Exception], None],
        clock: Clock,
        deadline: float,
        max_rows: int,
        max_bytes: int,
    ) -> None:
        """``write`` runs on the thread and returns the number of its first row; ``after`` follows it there.

        ``written`` and ``failed`` run on the loop before the waiters learn it.
        """
        self._thread = thread
        self._write = write
        self._after = after
        self._written = written
        self._failed = failed
        self._clock = clock
        self._deadline = deadline
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._collecting: _Batch[Row] | None = None
        self._writing: _Batch[Row] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    def add(self, row: Row, size: int) -> asyncio.Future[int]:
        """A future of the row's number, once durable.

        Its errors: LogUnavailableError, or what ``write`` raised.

        Raises:
            LogUnavailableError: too much is waiting already, or the thread does not run.

        """
        batch = self._collecting
        if batch is None:
            batch = self._collect()
        elif len(batch.rows) >= self._max_rows or batch.size + size > self._max_bytes:
            raise LogUnavailableError(
                f"{len(batch.rows)} records wait for the disk already: it is too slow, or stuck"
            )
        future = self._loop.create_future()
        batch.rows.append(row)
        batch.futures.append(future)
        batch.size += size
        return future

    async def drain(self, deadline: float) -> None:
        """Take nothing more and wait for what was taken; what is left after ``deadline`` seconds fails."""
        self._closed = True
        try:
            async with asyncio.timeout(deadline):
                await self._idle.wait()
        except TimeoutError:
            for batch in (self._writing, self._collecting):
                if batch is not None:
                    self._expire(batch)

    def _collect(self) -> _Batch[Row]:
        if self._closed or not self._thread.running:
            raise LogUnavailableError("not started, or stopped")
        self._loop = loop = asyncio.get_running_loop()
        batch = _Batch[Row](self._clock.monotonic() + self._deadline)
        batch.timer = loop.call_later(self._deadline, self._expire, batch)
        self._collecting = batch
        self._idle.clear()
        if self._writing is None:
            # Not at once: all that is added within this turn of the loop shares the write.
            loop.call_soon(self._flush)
        return batch

    def _flush(self) -> None:
        batch = self._collecting
        if batch is None or self._writing is not None:
            return
        self._collecting = None
        self._writing = batch
        self._thread.post(partial(self._write_in_time, batch), self._done, self._fail, self._after)

    def _write_in_time(self, batch: _Batch[Row]) -> int:
        if self._clock.monotonic() > batch.until:
            # Its waiters were told that it failed: do not write now what they will bring again.
            raise LogUnavailableError(f"not begun to be written within {self._deadline:g} s")
        return self._write(batch.rows)

    def _done(self, first: int) -> None:
        batch = self._next()
        self._written(batch.rows)
        for number, future in enumerate(batch.futures, first):
            if not future.done():
                future.set_result(number)

    def _fail(self, error: Exception) -> None:
        batch = self._next()
        self._failed(error)
        self._answer(batch, error)

    def _next(self) -> _Batch[Row]:
        """The batch that was being written; sends off the one that collected meanwhile."""
        batch = self._writing
        if batch is None:
            raise AssertionError("the thread answered, but nothing was being written")
        if batch.timer is not None:
            batch.timer.cancel()
        self._writing = None
        self._flush()
        if self._writing is None:
            self._idle.set()
        return batch

    def _expire(self, batch: _Batch[Row]) -> None:
        """Answer in time, whatever the disk does. A batch not yet on the thread is never written."""
        error = LogUnavailableError(f"not written within {self._deadline:g} s")
        if batch is self._collecting:
            self._collecting = None
        self._failed(error)
        self._answer(batch, error)

    def _answer(self, batch: _Batch[Row], error: Exception) -> None:
        for future in batch.futures:
            if not future.done():
                # One of its own for each waiter: a raised exception collects the waiter's traceback.
                own = type(error)(*error.args) if isinstance(error, BinmirrorError) else error
                future.set_exception(own)
