"""Time that passes only when somebody sleeps."""

import asyncio

from schemas.times import Micros, parse_time

START = parse_time("2025-03-01T12:00:00Z")


class ManualClock:
    """A ``Clock`` whose sleepers wake at once, with the time advanced. Remembers who slept how long."""

    def __init__(self, start: Micros = START) -> None:
        self._now = start
        self._monotonic = 1000.0
        self.sleeps: list[float] = []

    def now(self) -> Micros:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def seconds(self) -> float:
        """Unix time in seconds."""
        return self._now / 1_000_000

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * 1_000_000)
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """The wall clock is set; no time passes."""
        self._now += round(seconds * 1_000_000)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)
