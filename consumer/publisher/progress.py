"""How publishing is going, for health, metrics and the log."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from consumer.clock import Clock
from consumer.errors import FencedError, ProjectionUnavailableError, StopError, TransientError
from consumer.log import Logger
from consumer.metrics import Metrics
from schemas.times import SECOND

Doing: TypeAlias = Literal["starting", "standby", "waiting", "everything", "publishing", "stopped"]
"""waiting: for the projection to have caught up with the log. everything: publishes all entries anew."""
_PUBLISHING: Final = ("everything", "publishing")


class Progress:
    """What the publisher does now, and what it has seen lately."""

    def __init__(self, topic: str, *, clock: Clock, metrics: Metrics, log: Logger) -> None:
        self._topic = topic
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._doing: Doing = "starting"
        self._holder: str | None = None
        self._trouble: str | None = None
        self._complete_at: float | None = None
        self._records = 0

    def details(self) -> Mapping[str, object]:
        """They never decide whether the worker is ready."""
        since = self._complete_at
        return {
            "topic": self._topic,
            "doing": self._doing,
            "publisher": self._holder,
            "trouble": self._trouble,
            "records_published": self._records,
            "seconds_since_complete": None if since is None else round(self._clock.monotonic() - since, 3),
        }

    def does(self, doing: Doing) -> None:
        if doing in _PUBLISHING and self._doing not in _PUBLISHING:
            self._log.info("entries_topic_publishing", topic=self._topic)
        self._doing, self._holder = doing, None
        self._metrics.entries_topic_publishing.set(doing in _PUBLISHING)
        if doing != "stopped":
            self._metrics.entries_topic_stopped.set(0)

    def stands_by(self, holder: str) -> None:
        """Another process publishes."""
        if self._holder != holder:
            self._log.info("entries_topic_standby", topic=self._topic, publisher=holder)
        self.does("standby")
        self._holder, self._trouble = holder, None

    def published(self, values: int, tombstones: int, seconds: float) -> None:
        self._records += values + tombstones
        self._metrics.entries_topic_records.labels("value").inc(values)
        self._metrics.entries_topic_records.labels("tombstone").inc(tombstones)
        self._metrics.entries_topic_seconds.observe(seconds)
        self._trouble = None

    def complete(self) -> None:
        """Everything applied to the projection is in the topic."""
        self._trouble = None
        self._complete_at = self._clock.monotonic()
        self._metrics.entries_topic_complete.set(self._clock.now() / SECOND)

    def failed(self, error: TransientError | FencedError) -> None:
        """It may work later."""
        self._trouble = f"{type(error).__name__}: {error}"
        if isinstance(error, FencedError):
            self._metrics.entries_topic_fenced.inc()
            self._log.warning("entries_topic_fenced", topic=self._topic, reason=str(error))
            return
        server = "projection" if isinstance(error, ProjectionUnavailableError) else "topic"
        self._metrics.entries_topic_retries.labels(server).inc()
        self._log.warning(
            "entries_topic_retry", topic=self._topic, error=type(error).__name__, reason=str(error)
        )

    def stopped(self, error: StopError) -> None:
        """A person has to do something; said once, looked at again and again."""
        reason = str(error)
        if self._trouble != reason:
            self._log.error("entries_topic_stopped", topic=self._topic, reason=reason)
        self.does("stopped")
        self._trouble = reason
        self._metrics.entries_topic_stopped.set(1)

    def broke(self, error: Exception) -> None:
        """A fault of ours."""
        self._trouble = repr(error)
        self._log.error("entries_topic_failed", topic=self._topic, reason=repr(error), exc_info=error)
