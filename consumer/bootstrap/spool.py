"""Opens this machine's spool for operators' commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from consumer.addresses import SqliteAddress
from consumer.clock import SystemClock
from consumer.errors import SettingsError, StopError
from consumer.eventlog.spool_file import SpoolFile
from consumer.settings import Settings

_BUSY_SECONDS: Final = 5.0


@contextmanager
def opened_spool(settings: Settings) -> Iterator[SpoolFile]:
    """The spool, beside a running service. Raises SettingsError, StopError."""
    if isinstance(settings.event_log, SqliteAddress):
        raise SettingsError(
            "EVENT_LOG: there is a spool only before Kafka, for example kafka://localhost:9092/binmirror"
        )
    if not settings.spool.exists():
        raise StopError(f"there is no spool at {settings.spool} yet; the receiver makes it when it starts")
    file = SpoolFile(settings.spool, busy=_BUSY_SECONDS, clock=SystemClock())
    try:
        yield file
    finally:
        file.close()
