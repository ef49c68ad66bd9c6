"""What operators order of the worker: to wait, and to go on after it stopped by itself."""

import asyncio
from typing import Final

from consumer.errors import TransientError
from consumer.log import Logger
from consumer.projection.control_base import Pause, WorkerOrders
from consumer.waiting import stopped_within
from schemas.times import format_time

_LOOK_SECONDS: Final = 1.0


class Orders:
    """The orders of one worker, as last looked at. Without a place to keep orders there are none."""

    def __init__(self, kept: WorkerOrders | None, *, worker: str, log: Logger) -> None:
        self._kept = kept
        self._worker = worker
        self._log = log
        self._pause: Pause | None = None
        self._noted = False

    @property
    def paused(self) -> str | None:
        """Who paused the worker, when and why; None: it is to work."""
        if self._pause is None:
            return None
        paused_at, who, reason = self._pause
        why = f": {reason}" if reason else ""
        return f"paused since {format_time(paused_at)} by {who}{why} (binmirror worker resume)"

    async def changed(self) -> bool:
        """Look; whether the worker is to do otherwise than before. Raises TransientError."""
        before, self._pause = self._pause, await self._kept.pause() if self._kept is not None else None
        return (before is None) != (self._pause is None)

    async def until_resumed(self, reason: str, stop: asyncio.Event) -> bool:
        """Note the stop, and wait for an operator's word or ``stop``. True: go on."""
        while not stop.is_set():
            try:
                if await self._resumed(reason):
                    return True
            except TransientError as error:
                self._log.warning("worker_retry", error=type(error).__name__, reason=str(error))
            await stopped_within(stop, _LOOK_SECONDS)
        return False

    async def leave(self) -> None:
        """The process ends: nobody needs to tell it to go on."""
        if self._kept is not None and self._noted:
            self._noted = False
            try:
                await self._kept.gone(self._worker)
            except TransientError as error:
                self._log.warning("worker_retry", error=type(error).__name__, reason=str(error))

    async def _resumed(self, reason: str) -> bool:
        if self._kept is None:
            return False
        if not self._noted:
            await self._kept.stopped(self._worker, reason)
            self._noted = True
        elif not await self._kept.still_stopped(self._worker):
            self._noted = False
            return True
        return False
