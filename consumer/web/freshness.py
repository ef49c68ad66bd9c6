"""No stale answer by accident: a reader says how fresh the projection has to be, and is told how old it is.

``Binmirror-Min-Event: ID`` waits until that event of the caller's project is in the projection,
``Binmirror-Max-Age: SECONDS`` until it is no older; both for a bounded time, then 503 ``stale_projection``.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Final

from starlette.datastructures import Headers

from consumer.clock import Clock
from consumer.errors import BinmirrorError, StopError, TransientError
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.projection.freshness_base import FreshnessReader
from consumer.web.auth import Authenticator, Caller
from consumer.web.contract.describe import RETRY_HEADER, ErrorAnswer, Parameter
from consumer.web.errors import ProblemError, RawHeaders
from consumer.web.event_ids import event_of_header
from schemas.errors import invalid_header, stale_projection
from schemas.oauth import Scope
from schemas.text import MAX_TEXT
from schemas.times import SECOND, Micros

MIN_EVENT: Final = b"binmirror-min-event"
MAX_AGE: Final = b"binmirror-max-age"
AGE: Final = b"binmirror-age"

_ROUNDING: Final = 0.0005
"""Never down."""
_LOOK_SECONDS: Final = 1.0
"""Between looks while nobody waits."""
_WAITING_SECONDS: Final = 0.02
"""Between looks while somebody does."""
_AFTER: Final[RawHeaders] = ((b"retry-after", b"1"),)
_NEVER: Final = b"never"
_SECONDS: Final = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,9})?")


class Freshness:
    """One per process: looks at the projection once a second, more often while somebody waits.

    What it knows is the moment, by this process's monotonic clock, at which the projection held all of the
    log; an age is the time since. Between two looks that names too great an age, never too small a one.
    """

    def __init__(
        self, reader: FreshnessReader, *, patience: float, clock: Clock, metrics: Metrics, log: Logger
    ) -> None:
        """``patience`` is how long a request waits, in seconds."""
        self._reader = reader
        self._patience = patience
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._whole_at: float | None = None
        self._seen: Micros | None = None
        self._reading: ContextVar[_Reading] = ContextVar("reading")
        self._failure: BinmirrorError | None = None
        self._looked = False
        self._events: dict[asyncio.Future[None], tuple[str, str]] = {}
        self._ages: dict[asyncio.Future[None], tuple[float, float]] = {}
        self._wanted = asyncio.Event()

    def begin(self) -> Callable[[], tuple[bytes, bytes]]:
        """To be called when a request comes; what is returned tells, with the answer, how old that is."""
        reading = _Reading(self._whole_at)
        self._reading.set(reading)

        def age() -> tuple[bytes, bytes]:
            whole_at = reading.whole_at
            if whole_at is None:
                return AGE, _NEVER
            return AGE, b"%.3f" % (self._clock.monotonic() - whole_at + _ROUNDING)

        return age

    async def run(self, stop: asyncio.Event) -> None:
        """Look until ``stop`` is set."""
        stopped = asyncio.create_task(stop.wait(), name="freshness stop")
        while not stop.is_set():
            await self._look()
            wanted = asyncio.create_task(self._wanted.wait(), name="freshness wanted")
            pause = _WAITING_SECONDS if self._events or self._ages else _LOOK_SECONDS
            await asyncio.wait({stopped, wanted}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            wanted.cancel()
        for waiting in [*self._events, *self._ages]:
            waiting.cancel()

    async def demand(self, project: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Return once the projection is as fresh as the request's raw headers demand.

        Raises:
            ProblemError: 400 for a header that makes no sense, 503 after ``patience``.
            ProjectionUnavailableError, SchemaMismatchError: it cannot even be looked at.

        """
        event: bytes | None = None
        age: bytes | None = None
        for name, value in headers:
            if name == MIN_EVENT:
                event = _only("Binmirror-Min-Event", event, value)
            elif name == MAX_AGE:
                age = _only("Binmirror-Max-Age", age, value)
        if event is None and age is None:
            return
        wanted = None if event is None else (project, _event_id(event))
        seconds = None if age is None else _seconds(age)
        started = self._clock.monotonic()
        outcome = "stale"
        try:
            async with asyncio.timeout(self._patience):
                if wanted is not None:
                    await self._event(wanted)
                if seconds is not None:
                    await self._age(seconds, started)
            outcome = "fresh"
        except TimeoutError:
            if self._failure is not None:
                raise self._failure from None
            raise ProblemError(stale_projection(self._explain(wanted, seconds)), _AFTER) from None
        finally:
            # What is read from here on is at least as fresh as is known now.
            if (reading := self._reading.get(None)) is not None:
                reading.whole_at = self._whole_at
            self._metrics.fresh_waits.labels(outcome).inc()
            self._metrics.fresh_wait_seconds.observe(self._clock.monotonic() - started)

    def _explain(self, wanted: tuple[str, str] | None, seconds: float | None) -> str:
        age = "unknown" if self._whole_at is None else f"{self._clock.monotonic() - self._whole_at:.3f} s"
        asked = [
            *([] if wanted is None else [f"event {wanted[1]}"]),
            *([] if seconds is None else [f"an age of at most {seconds:g} s"]),
        ]
        waited = f"{self._patience:g} s"
        return f"Waited {waited} for {' and '.join(asked)}; the projection's age is {age}. Ask again later."

    async def _event(self, wanted: tuple[str, str]) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._events[waiting] = wanted
        self._wanted.set()
        try:
            await waiting
        finally:
            self._events.pop(waiting, None)

    async def _age(self, seconds: float, started: float) -> None:
        if self._is_within(seconds, started):
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ages[waiting] = seconds, started
        self._wanted.set()
        try:
            await waiting
        finally:
            self._ages.pop(waiting, None)

    def _is_within(self, seconds: float, started: float) -> bool:
        """Or holds what was in the log when the request came: no answer could be asked to be fresher."""
        whole_at = self._whole_at
        return whole_at is not None and (self._clock.monotonic() - whole_at <= seconds or whole_at >= started)

    async def _look(self) -> None:
        self._wanted.clear()
        asked = set(self._events.values())
        before = self._clock.monotonic()
        try:
            found = await self._reader.freshness(asked)
        except (TransientError, StopError) as error:
            # At the start the projection may not be there yet, which the API says by itself.
            if self._failure is None and self._looked:
                self._log.warning("freshness_unknown", error=type(error).__name__, reason=str(error))
            self._failure = error
            return
        self._failure, self._looked = None, True
        whole_at = None if found.age is None else before - found.age / SECOND
        if self._whole_at is not None and found.seen == self._seen:
            # Nothing new is known: should the database's clock be set back, nothing gets younger.
            whole_at = self._whole_at if whole_at is None else min(whole_at, self._whole_at)
        self._whole_at, self._seen = whole_at, found.seen
        self._metrics.projection_age.set(float("inf") if whole_at is None else before - whole_at)
        satisfied = [
            *(waiting for waiting, key in self._events.items() if key in found.present),
            *(waiting for waiting, asked in self._ages.items() if self._is_within(*asked)),
        ]
        for waiting in satisfied:
            if not waiting.done():
                waiting.set_result(None)


class _Reading:
    """One request's."""

    __slots__ = ("whole_at",)

    def __init__(self, whole_at: float | None) -> None:
        self.whole_at = whole_at
        """Known before anything was read; what is known later may be true of later data alone."""


class FreshCallers:
    """Credentials for reading: whoever is known is let on once the projection is as fresh as they demand."""

    def __init__(self, credentials: Authenticator, freshness: Freshness) -> None:
        self._credentials = credentials
        self._freshness = freshness

    async def authenticate(self, headers: Headers, *, scope: Scope = "api") -> Caller:
        """Raises as ``Credentials.authenticate`` and ``Freshness.demand``."""
        caller = await self._credentials.authenticate(headers, scope=scope)
        await self._freshness.demand(caller.project.name, headers.raw)
        return caller


def _only(name: str, held: bytes | None, value: bytes) -> bytes:
    if held is not None:
        raise ProblemError(invalid_header(f"{name} may be given once"))
    return value


def _event_id(value: bytes) -> str:
    event_id = event_of_header(value)
    if event_id is None:
        raise ProblemError(invalid_header("Binmirror-Min-Event is not an event id, percent-encoded"))
    return event_id


def _seconds(value: bytes) -> float:
    value = value.strip()
    if not _SECONDS.fullmatch(value):
        raise ProblemError(invalid_header("Binmirror-Max-Age is not a number of seconds, such as 5 or 0.5"))
    return float(value)


FRESH_PARAMETERS: Final = (
    Parameter(
        name="Binmirror-Min-Event",
        place="header",
        text="Answer once this event of the project is in the projection. Percent-encoded.",
        schema={"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
        example="evvou_1dc3a1ec5d1e6b",
    ),
    Parameter(
        name="Binmirror-Max-Age",
        place="header",
        text="Answer once the projection's age is at most so many seconds, or once it holds all that was in "
        "the event log when the request came: `0` asks for just that.",
        schema={"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?$"},
        example="30",
    ),
)
FRESH_HEADERS: Final = {
    "Binmirror-Age": "Seconds since the projection held all of the event log; `never` if it has not yet."
}
FRESH_ERRORS: Final = (
    ErrorAnswer(body=invalid_header("Binmirror-Max-Age is not a number of seconds, such as 5 or 0.5")),
    ErrorAnswer(
        body=stale_projection(
            "Waited 2 s for event evvou_1; the projection's age is 14.060 s. Ask again later."
        ),
        headers=RETRY_HEADER,
    ),
)
"""Beside those of every route that reads."""
