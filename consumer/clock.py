"""Time as a parameter: everything that waits or stamps takes a ``Clock``."""

import asyncio
import time
from typing import Protocol

from schemas.times import Micros


class Clock(Protocol):
    """Reads and passes time."""

    def now(self) -> Micros:
        """Wall clock, microseconds since the epoch; may jump."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> Micros:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
