"""Whether the worker makes progress, for readiness: caught up, moving, or standing by."""

from collections.abc import Mapping
from typing import Final

from consumer.clock import Clock
from consumer.errors import FencedError, ProjectionUnavailableError, TransientError
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.types import Health

_PATIENCE: Final = 30.0
"""Seconds without progress, behind the log's end, before a worker is not ready."""


class Progress:
    """What the worker has seen lately."""

    def __init__(self, *, clock: Clock, metrics: Metrics, log: Logger) -> None:
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._moved = clock.monotonic()
        self._begun = False
        self.stopped: str | None = None
        self.trouble: str | None = None
        """The last transient failure, until something works again."""
        self.standby = False
        self.spare = False
        """Other workers of the group have all partitions."""
        self.paused: str | None = None
        """Who wants the worker to wait, since when, and why."""
        self.lag: dict[int, int] = {}

    def moved(self) -> None:
        """A batch was committed, or the end of the log was seen."""
        self._moved = self._clock.monotonic()
        self._begun = True
        self.trouble = None

    def failed(self, error: TransientError | FencedError) -> None:
        """Something failed that may work later."""
        self.trouble = f"{type(error).__name__}: {error}"
        if isinstance(error, FencedError):
            self._metrics.fenced.inc()
            self._log.warning("fenced", reason=str(error))
            return
        side = "projection" if isinstance(error, ProjectionUnavailableError) else "log"
        self._metrics.worker_retries.labels(side).inc()
        self._log.warning("worker_retry", error=type(error).__name__, reason=str(error))

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
        ready, summary = self._summary(idle)
        return Health(ready=ready, summary=summary, details=details)

    def _summary(self, idle: float) -> tuple[bool, str]:
        trouble = self.trouble or "no progress"
        told = (
            (self.stopped is not None, False, f"stopped: {self.stopped}"),
            (self.paused is not None, True, str(self.paused)),
            (self.trouble is not None and not self._begun, False, f"not begun yet: {trouble}"),
            (idle > _PATIENCE, False, f"no progress for {idle:.0f} s: {trouble}"),
            (self.standby, True, "standing by: another worker has the log"),
            (self.spare, True, "spare: other workers have all partitions of the log"),
        )
        lag = f"lag {sum(self.lag.values())}"
        return next(((ready, words) for holds, ready, words in told if holds), (True, lag))
