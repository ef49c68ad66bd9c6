"""A thread on which a database connection lives: made, used and closed there."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from consumer.errors import LogUnavailableError

Result = TypeVar("Result")


class DatabaseThread:
    """Runs jobs one after the other and hands their results to the event loop that started it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def running(self) -> bool:
        return self._loop is not None

    def start(self) -> None:
        """Idempotent."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            # A daemon: a disk that hangs must not keep the process from ending.
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()

    def post(
        self,
        job: Callable[[], Result],
        done: Callable[[Result], None],
        failed: Callable[[Exception], None],
        after: Callable[[], None] | None = None,
    ) -> None:
        """Run ``job`` on the thread, then ``done`` or ``failed`` on the event loop.

        ``after`` runs on the thread once the loop has been told, for work that nobody waits for.
        """

        def serve() -> None:
            try:
                result = job()
            except Exception as error:  # noqa: BLE001 - whoever posted the job gets it, whatever it is
                self._tell(failed, error)
            else:
                self._tell(done, result)
            if after is not None:
                after()

        self._jobs.put(serve)

    async def run(self, job: Callable[[], Result]) -> Result:
        """What ``job`` returns or raises. Cancelling leaves it to finish, unobserved.

        Raises:
            LogUnavailableError: the thread does not run.

        """
        if self._loop is None:
            raise LogUnavailableError(f"{self._name} is not started, or stopped")
        future: asyncio.Future[Result] = self._loop.create_future()

        def done(result: Result) -> None:
            if not future.done():
                future.set_result(result)

        def failed(error: Exception) -> None:
            if not future.done():
                future.set_exception(error)

        self.post(job, done, failed)
        return await future

    async def run_within(self, job: Callable[[], Result], deadline: float) -> Result:
        """As ``run``, with an answer within ``deadline`` seconds. Raises LogUnavailableError."""
        try:
            async with asyncio.timeout(deadline):
                return await self.run(job)
        except TimeoutError as error:
            raise LogUnavailableError(
                f"{self._name} got no answer from the disk in {deadline:g} s"
            ) from error

    async def stop(self, last: Callable[[], None], *, deadline: float) -> None:
        """Run ``last``, then end the thread. Waits no longer than ``deadline`` seconds. Idempotent."""
        if self._loop is None:
            return
        try:
            async with asyncio.timeout(deadline):
                await self.run(last)
        except TimeoutError:
            pass  # the disk hangs: the thread ends when it comes back, or with the process
        finally:
            self._loop = None
            self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _tell(self, callback: Callable[[Result], None], argument: Result) -> None:
        loop = self._loop
        if loop is None:
            return  # stopped meanwhile: nobody waits any more
        try:
            loop.call_soon_threadsafe(callback, argument)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more
