"""What Voucherify's rate limit allows, learnt from its answers' headers."""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from consumer.clock import Clock
from schemas.times import SECOND

MINUTE: Final = 60.0
HOUR: Final = 3600.0
_LONGEST: Final = 24 * HOUR
"""A wait beyond this is a wrong header, not a limit."""
_MAX_DIGITS: Final = 18


class RateLimit:
    """The limit as last told. Headers: ``X-Rate-Limit-Limit`` (requests in a period, which is a minute or an
    hour by plan), ``-Remaining``, and ``-Retry`` (when the next request can be made, in Unix seconds).

    Times are compared with the answer's own ``Date``, so that a wrong clock on this machine does no harm.
    """

    def __init__(self, clock: Clock, *, reserve: float = 0.0) -> None:
        """``reserve``: the share of each period that is left to the project's other clients."""
        self._clock = clock
        self._reserve = reserve
        self._limit: int | None = None
        self._remaining: int | None = None
        self._opens_at = -math.inf
        self._period = MINUTE

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take in the headers of an answer; those that are missing or senseless change nothing."""
        limit = _number(headers.get("x-rate-limit-limit"))
        remaining = _number(headers.get("x-rate-limit-remaining"))
        retry = _number(headers.get("x-rate-limit-retry"))
        if limit:
            self._limit = limit
        if remaining is not None:
            self._remaining = remaining
        if retry is not None:
            wait = retry - self._now(headers)
            if wait <= _LONGEST:
                self._opens_at = self._clock.monotonic() + wait
                if wait > MINUTE + 1:
                    self._period = HOUR

    def take(self) -> None:
        """A request is being sent; matters when several are on their way."""
        if self._remaining is not None and self._remaining > 0:
            self._remaining -= 1

    def wait(self) -> float:
        """Seconds until the next request is allowed."""
        if self._remaining is None or self._remaining > self._reserve * (self._limit or 0):
            return 0.0
        return self.opens_in()

    def opens_in(self) -> float:
        """Seconds until the time that ``X-Rate-Limit-Retry`` named; 0 once it has passed."""
        return max(0.0, self._opens_at - self._clock.monotonic())

    def per_minute(self) -> float | None:
        """Requests a minute that the limit lets through, as far as known."""
        if self._limit is None:
            return None
        usable = self._limit - math.floor(self._reserve * self._limit)
        return usable * MINUTE / self._period

    def retry_after(self, headers: Mapping[str, str]) -> float | None:
        """The answer's ``Retry-After`` in seconds from now: a number, or an HTTP date."""
        text = headers.get("retry-after")
        if text is None:
            return None
        seconds = _number(text)
        if seconds is not None:
            return float(seconds)
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - self._now(headers))
        except (ValueError, OverflowError):
            return None

    def _now(self, headers: Mapping[str, str]) -> float:
        """Unix seconds by the server's clock, else by ours."""
        try:
            return parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return self._clock.now() / SECOND


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        return None
    return int(text)
