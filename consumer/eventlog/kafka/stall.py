"""Notices a consumer that stands still although the log goes on, which aiokafka does without any error."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from consumer.clock import Clock
from consumer.types import Bounds

_LONGEST_INTERVAL: Final = 5.0
_LOOKS: Final = 4
"""A caller that was busy for longer than the timeout has polled in between so many looks."""


@dataclass(slots=True)
class _Behind:
    position: int
    since: float
    looks: int = 1


class StallWatch:
    """Compares positions with the log's ends now and then, while polling."""

    def __init__(self, timeout: float, clock: Clock) -> None:
        self._timeout = timeout
        self._clock = clock
        self._interval = min(_LONGEST_INTERVAL, timeout / (_LOOKS + 1))
        self._next = clock.monotonic() + self._interval
        self._behind: dict[int, _Behind] = {}

    def due(self) -> bool:
        """Whether it is time to look; asking counts as looking."""
        now = self._clock.monotonic()
        if now < self._next:
            return False
        self._next = now + self._interval
        return True

    def forget(self, partition: int) -> None:
        """``partition`` has moved."""
        self._behind.pop(partition, None)

    def clear(self) -> None:
        self._behind.clear()

    def stalled(self, positions: Mapping[int, int], bounds: Mapping[int, Bounds]) -> list[int]:
        """Partitions that stand still, records ahead of them, since the timeout."""
        now = self._clock.monotonic()
        stalled = []
        for partition, position in positions.items():
            if partition not in bounds or bounds[partition].end <= position:
                self.forget(partition)
                continue
            behind = self._behind.get(partition)
            if behind is None or behind.position != position:
                self._behind[partition] = _Behind(position, now)
                continue
            behind.looks += 1
            if behind.looks >= _LOOKS and now - behind.since > self._timeout:
                stalled.append(partition)
        return stalled
