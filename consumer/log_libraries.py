"""Brings what libraries log by the standard library to our log, without their repetitions."""

import logging
import math
from collections import OrderedDict
from typing import Final

from consumer.log import Level, Logger

REPEAT_SECONDS: Final = 10.0
"""A library's line that repeats itself is written once in so many seconds."""
_MOST_REMEMBERED: Final = 256


class LibraryHandler(logging.Handler):
    """Brings the lines of libraries that log by the standard library to ours.

    A Kafka client whose cluster is away says the same ten times a second: a line that was written less
    than ``REPEAT_SECONDS`` ago is only counted, and the count stands in the next one.
    """

    def __init__(self, log: Logger) -> None:
        super().__init__()
        self._log = log
        self._written: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        """By logger and message: when it was last written, and how often it came since."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = f"{record.msg!r} {record.args!r}"
        key = (record.name, message)
        when, repeated = self._written.pop(key, (-math.inf, 0))
        if record.created - when < REPEAT_SECONDS:
            self._written[key] = (when, repeated + 1)
            return
        self._written[key] = (record.created, 0)
        if len(self._written) > _MOST_REMEMBERED:
            self._written.popitem(last=False)
        self._log.log(
            record.levelno,
            "library",
            logger=record.name,
            message=message,
            **({"repeated": repeated} if repeated else {}),
            **({"exc_info": record.exc_info} if record.exc_info else {}),
        )


def adopt_libraries(log: Logger, *, level: Level) -> None:
    """Send every library's log through ``log``; of the talkative ones only warnings and worse."""
    root = logging.getLogger()
    root.handlers[:] = [LibraryHandler(log)]
    root.setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
