"""Moments as integers: microseconds since 1970-01-01T00:00:00Z, everywhere inside binmirror.

Voucherify writes ISO 8601 with no, three or six fractional digits; its bin answers with three.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, TypeAlias

Micros: TypeAlias = int
"""Microseconds since the Unix epoch, UTC."""

SECOND: Final[Micros] = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

MIN_MICROS: Final[Micros] = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z"""
MAX_MICROS: Final[Micros] = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z"""

BIN_EPOCH: Final[Micros] = 1_462_320_000_000_000
"""2016-05-04T00:00:00Z, from which Voucherify's entry ids count."""


def parse_time(text: str) -> Micros:
    """The moment that an ISO 8601 date-time names; without a zone it is UTC.

    Raises:
        ValueError: it is no date-time, or lies outside the years 1 to 9999 once in UTC.

    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    micros = (moment - _EPOCH) // _MICROSECOND
    if not MIN_MICROS <= micros <= MAX_MICROS:
        raise ValueError(f"{text!r} lies outside the years 1 to 9999")
    return micros


def format_time(moment: Micros) -> str:
    """ISO 8601 in UTC with milliseconds, as Voucherify's API writes it: ``2024-05-07T09:15:13.218Z``.

    For moments of the years 1 to 9999, as ``parse_time`` returns them.
    """
    second, micros = divmod(moment, SECOND)
    return f"{_second(second)}.{micros // 1000:03}Z"


@lru_cache(maxsize=64)
def _second(number: int) -> str:
    """The text of a second, which the moments of many events share."""
    return (_EPOCH + timedelta(seconds=number)).isoformat()[: len("0001-01-01T00:00:00")]
