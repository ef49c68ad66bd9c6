"""Whether the worker makes progress, for readiness: caught up, moving, or standing by."""

from collections.abc import Mapping
from typing import Final

from consumer.clock import Clock
from consumer.types import Health

_PATIENCE: Final = 30.0
"""Seconds without progress, behind the log's end, before a worker is not ready."""


class Progress:
    """What the worker has seen lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moved = clock.monotonic()
        self.stopped: str | None = None
        self.trouble: str | None = None
        """The last transient failure, until something works again."""
        self.standby = False
        self.paused: str | None = None
        """Who wants the worker to wait, since when, and why."""
        self.lag: dict[int, int] = {}

    def moved(self) -> None:
        """A batch was committed, or the end of the log was seen."""
        self._moved = self._clock.monotonic()
        self.trouble = None

    def failed(self, error: Exception) -> None:
        """Something failed that may work later."""
        self.trouble = f"{type(error).__name__}: {error}"

    def health(self, positions: Mapping[int, int]) -> Health:
        idle = self._clock.monotonic() - self._moved
        details = {
            "positions": {str(partition): offset for partition, offset in sorted(positions.items())},
            "lag": {str(partition): lag for partition, lag in sorted(self.lag.items())},
            "standby": self.standby,
            "paused": self.paused,
            "seconds_since_progress": round(idle, 3),
            "trouble": self.trouble,
        }
        if self.stopped is not None:
            return Health(ready=False, summary=f"stopped: {self.stopped}", details=details)
        if self.paused is not None:
            return Health(ready=True, summary=self.paused, details=details)
        if idle > _PATIENCE:
            reason = self.trouble or "no progress"
            return Health(ready=False, summary=f"no progress for {idle:.0f} s: {reason}", details=details)
        if self.standby:
            return Health(ready=True, summary="standing by: another worker has the log", details=details)
        return Health(ready=True, summary=f"lag {sum(self.lag.values())}", details=details)
