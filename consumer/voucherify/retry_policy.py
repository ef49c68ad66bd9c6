"""How long a request to Voucherify is tried again, and what is said while it waits."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from tenacity import RetryCallState, wait_exponential, wait_random

from consumer.clock import Clock
from consumer.voucherify.errors import RateLimitedError, ServerFailedError

Reason: TypeAlias = Literal["rate_limit", "failure"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds for one request with all its attempts."""

    attempts: int = 6
    """Attempts that may fail (5xx, network, timeouts) before giving up."""
    total: float = 180.0
    """Seconds from the start to the last attempt, waits for the rate limit not counted."""
    rate_limit: float = 3900.0
    """Seconds that may go by waiting for the rate limit; a sandbox project's period is an hour."""


BACKGROUND: Final = RetryPolicy()
"""For work in the background."""
INTERACTIVE: Final = RetryPolicy(attempts=2, total=5.0, rate_limit=3.0)
"""For somebody who waits for the answer of a request."""


class Wait(NamedTuple):
    """A wait that begins, for people."""

    reason: Reason
    seconds: float
    attempt: int
    """How many attempts have been made."""
    error: str
    """What the last one met; empty when the rate limit is simply used up."""

    def __str__(self) -> str:
        if self.reason == "rate_limit":
            return f"rate limit: going on in {self.seconds:.0f} s"
        return f"{self.error}; trying again in {self.seconds:.1f} s"


class Budget:
    """What is left of a ``RetryPolicy`` while a request is being tried; tenacity's wait and stop."""

    def __init__(self, retries: RetryPolicy, clock: Clock) -> None:
        self._retries = retries
        self._clock = clock
        self._started = clock.monotonic()
        self._failures = 0
        self._rate_waited = 0.0
        self._jitter = wait_random(0, 1)
        self._failure_backoff = wait_exponential(multiplier=0.5, max=30)
        self._limit_backoff = wait_exponential(multiplier=1, max=60)

    def seconds_left(self) -> float:
        """Of ``total``, for the attempt about to be made."""
        spent = self._clock.monotonic() - self._started - self._rate_waited
        return max(0.0, self._retries.total - spent)

    def spend_on_rate_limit(self, seconds: float) -> bool:
        """Set ``seconds`` aside for waiting, if that much is left."""
        if self._rate_waited + seconds > self._retries.rate_limit:
            return False
        self._rate_waited += seconds
        return True

    def wait(self, state: RetryCallState) -> float:
        """Seconds before the next attempt: what the server asked for or the backoff, whichever is more, and
        a random part of a second, so that several clients do not come back at once.
        """
        error = _error(state)
        limited = isinstance(error, RateLimitedError)
        backoff = self._limit_backoff(state) if limited else self._failure_backoff(state)
        asked = error.retry_after if isinstance(error, RateLimitedError | ServerFailedError) else None
        return max(backoff, asked or 0.0) + self._jitter(state)

    def stop(self, state: RetryCallState) -> bool:
        """Whether to give up rather than to wait."""
        if isinstance(_error(state), RateLimitedError):
            return not self.spend_on_rate_limit(state.upcoming_sleep)
        self._failures += 1
        return self._failures >= self._retries.attempts or state.upcoming_sleep >= self.seconds_left()


def _error(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()
