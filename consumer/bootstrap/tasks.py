"""Named tasks that run for as long as the process does: one that ends early ends the process."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from consumer.log import Logger

_CANCEL_SECONDS: Final = 2.0


class Tasks:
    """The process's tasks. One that ends on its own sets ``stop``, and ``failure`` names it."""

    def __init__(self, stop: asyncio.Event, log: Logger) -> None:
        self._stop = stop
        self._log = log
        self._tasks: list[asyncio.Task[Any]] = []
        self.failure: str | None = None
        """Name of the first task that ended although nobody had asked it to."""

    def start(self, name: str, work: Coroutine[Any, Any, None], *, endless: bool = True) -> asyncio.Task[Any]:
        """Run ``work``. With ``endless`` its end, not only its failure, stops the process."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(lambda done: self._ended(done, endless=endless))
        self._tasks.append(task)
        return task

    def _ended(self, task: asyncio.Task[Any], *, endless: bool) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._log.error("task_failed", task=task.get_name(), reason=str(error), exc_info=error)
        elif not endless or self._stop.is_set():
            return
        else:
            self._log.error("task_failed", task=task.get_name(), reason="it ended, although it never should")
        if self.failure is None and not self._stop.is_set():
            self.failure = task.get_name()
        self._stop.set()

    async def finish(self, seconds: float) -> None:
        """Wait for all tasks, which have been asked to end; after ``seconds`` cancel those that have not."""
        running = [task for task in self._tasks if not task.done()]
        if running:
            _, late = await asyncio.wait(running, timeout=max(0.0, seconds))
            for task in late:
                self._log.warning("task_cancelled", task=task.get_name(), reason="not done by the deadline")
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_CANCEL_SECONDS)
