"""One request to Voucherify, with everything that can happen to it: rate limit, retries, bounds, errors."""

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, TypeVar

import httpx
from pydantic import ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from consumer.clock import Clock
from consumer.log import Logger
from consumer.voucherify.answers import Answer
from consumer.voucherify.errors import (
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RequestRefusedError,
    ServerFailedError,
    TruncatedAnswerError,
    UnauthorizedError,
    UnreachableError,
    VoucherifyError,
    VoucherifyUnavailableError,
)
from consumer.voucherify.rate import RateLimit
from consumer.voucherify.retry_policy import Budget, RetryPolicy, Wait
from schemas.voucherify_bin import BinError

Method: TypeAlias = Literal["GET", "DELETE"]
T = TypeVar("T")

_ERROR_BYTES: Final = 16 * 1024
"""How much of an error's body is read; the rest says nothing more."""
_SHOWN: Final = 300
_SHORTEST_WAIT_SHOWN: Final = 0.5
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_REQUEST_TIMEOUT: Final = 408
_TOO_MANY: Final = 429
_SERVER: Final = 500

_NEEDS: Final[Mapping[Method, str]] = {
    "GET": "vouchers.read, campaigns.read and products.read",
    "DELETE": "vouchers.delete, campaigns.delete or products.delete, by the resource's type",
}


class Caller:
    """Sends requests to one Voucherify project. ``http`` carries address and credentials."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        clock: Clock,
        log: Logger,
        timeout: float,
        max_body_bytes: int,
        rate: RateLimit,
        on_wait: Callable[[Wait], None] | None,
        redact: tuple[str, ...],
    ) -> None:
        self._http = http
        self._clock = clock
        self._log = log
        self._timeout = timeout
        self._max_body_bytes = max_body_bytes
        self._rate = rate
        self._on_wait = on_wait
        self._redact = redact

    async def call(self, method: Method, path: str, retries: RetryPolicy, read: Callable[[Answer], T]) -> T:
        """Send, and send again while that helps and ``retries`` lets it. ``path`` includes the query.

        ``read`` makes the result of an answer; a ``TruncatedAnswerError`` of it is tried again too.

        Raises:
            VoucherifyError: see ``consumer.voucherify.errors``.

        """
        budget = Budget(retries, self._clock)

        def told(state: RetryCallState) -> None:
            error = None if state.outcome is None else state.outcome.exception()
            reason: Literal["rate_limit", "failure"] = (
                "rate_limit" if isinstance(error, RateLimitedError) else "failure"
            )
            self._tell(Wait(reason, state.upcoming_sleep, state.attempt_number, str(error)))

        async def attempt() -> T:
            await self._respect_limit(budget)
            seconds = min(self._timeout, budget.seconds_left())
            return read(await self._attempt(method, path, seconds))

        return await AsyncRetrying(
            sleep=self._clock.sleep,
            retry=retry_if_exception_type((VoucherifyUnavailableError, TruncatedAnswerError)),
            wait=budget.wait,
            stop=budget.stop,
            before_sleep=told,
            reraise=True,
        )(attempt)

    async def _respect_limit(self, budget: Budget) -> None:
        """Wait until the rate limit lets a request through."""
        seconds = self._rate.wait()
        if seconds > 0:
            if not budget.spend_on_rate_limit(seconds):
                raise _limit_used_up(seconds)
            self._tell(Wait("rate_limit", seconds, 0, ""))
            await self._clock.sleep(seconds)
        self._rate.take()

    def _tell(self, waiting: Wait) -> None:
        if waiting.seconds >= _SHORTEST_WAIT_SHOWN:
            self._log.warning(
                "voucherify_wait",
                reason=waiting.reason,
                seconds=round(waiting.seconds, 1),
                attempts=waiting.attempt,
                error=waiting.error,
            )
        if self._on_wait is not None:
            self._on_wait(waiting)

    async def _attempt(self, method: Method, path: str, seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds), self._http.stream(method, path) as response:
                self._rate.learn(response.headers)
                if response.is_success:
                    return Answer(response.status_code, await self._read(response))
                raise self._failure(method, response, await _read_start(response))
        except TimeoutError:
            raise UnreachableError(
                f"Voucherify ({self._place}) did not answer within {seconds:.0f} s; check the network, or "
                "try again later"
            ) from None
        except httpx.InvalidURL as error:
            raise ProtocolError(f"an id of Voucherify does not fit into a request: {error}") from None
        except httpx.TransportError as error:
            # Not chained: its request carries the credentials, and tracebacks may show it.
            what = self._shown(str(error)) or type(error).__name__
            raise UnreachableError(
                f"cannot reach Voucherify ({self._place}): {what}; check VOUCHERIFY_URL and the network"
            ) from None

    @property
    def _place(self) -> str:
        return str(self._http.base_url).rstrip("/")

    async def _read(self, response: httpx.Response) -> bytes:
        """The body, whole and within the limit. We ask for it uncompressed, so that its size is known."""
        coding = response.headers.get("content-encoding", "identity")
        if coding != "identity":
            raise ProtocolError(
                f"Voucherify's answer is encoded ({self._shown(coding)}) although it was not asked to be; "
                "is there a proxy in between?"
            )
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._max_body_bytes:
                raise ProtocolError(
                    f"Voucherify's answer is larger than {self._max_body_bytes} bytes; a page of the bin is "
                    "far smaller: check VOUCHERIFY_URL"
                )
        return bytes(body)

    def _failure(self, method: Method, response: httpx.Response, body: bytes) -> VoucherifyError:
        status = response.status_code
        told = self._told(body)
        after = self._rate.retry_after(response.headers)
        if status == _TOO_MANY:
            return _limit_used_up(
                after if after is not None else self._rate.opens_in() or None, f" (429{told})"
            )
        if status >= _SERVER or status == _REQUEST_TIMEOUT:
            return ServerFailedError(f"Voucherify answers {status}{told}; try again later", retry_after=after)
        return self._refusal(method, response, told)

    def _refusal(self, method: Method, response: httpx.Response, told: str) -> VoucherifyError:
        """What does not pass by itself."""
        status = response.status_code
        if status == _UNAUTHORIZED:
            return UnauthorizedError(
                f"Voucherify refuses the credentials (401{told}): check VOUCHERIFY_APP_ID and "
                "VOUCHERIFY_APP_TOKEN against Voucherify's project settings, and that VOUCHERIFY_URL is the "
                "project's cluster"
            )
        if status == _FORBIDDEN:
            return ForbiddenError(
                f"Voucherify forbids it (403{told}): give the API key of VOUCHERIFY_APP_ID the permissions "
                f"{_NEEDS[method]} in Voucherify's project settings"
            )
        if status == _NOT_FOUND:
            return NotFoundError(
                f"Voucherify answers 404{told}: check VOUCHERIFY_URL ({self._place})", explained=bool(told)
            )
        if status >= _BAD_REQUEST:
            return RequestRefusedError(f"Voucherify refuses the request ({status}{told})")
        location = self._shown(response.headers.get("location", ""))
        return ProtocolError(
            f"{self._place} answers {status} and points to {location or 'nowhere'}; redirects are not "
            "followed with credentials: enter the final address as VOUCHERIFY_URL"
        )

    def _told(self, body: bytes) -> str:
        try:
            text = BinError.model_validate_json(body).told()
        except ValidationError:
            return ""
        return f", {self._shown(text)}" if text else ""

    def _shown(self, text: str) -> str:
        """Foreign text for a message: short, one line, without credentials that a server might echo."""
        for secret in self._redact:
            text = text.replace(secret, "•••")
        return "".join(character if character.isprintable() else " " for character in text[:_SHOWN])


async def _read_start(response: httpx.Response) -> bytes:
    body = bytearray()
    try:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _ERROR_BYTES:
                break
    except httpx.TransportError:
        # The status has arrived and says more than the cut does.
        return b""
    return bytes(body)


def _limit_used_up(seconds: float | None, told: str = "") -> RateLimitedError:
    when = "" if seconds is None else f"; it opens again in {math.ceil(seconds)} s"
    return RateLimitedError(
        f"Voucherify's rate limit is used up{told}{when}: go on later, or ask Voucherify for more",
        retry_after=seconds,
    )


def make_http(
    base_url: str,
    credentials: Mapping[str, str],
    *,
    timeout: float,
    proxy: str | None,
    transport: httpx.AsyncBaseTransport | None,
) -> httpx.AsyncClient:
    """An HTTP client that reads nothing from the environment and follows no redirects."""
    return httpx.AsyncClient(
        base_url=base_url,
        headers={
            **credentials,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "binmirror",
        },
        timeout=timeout,
        proxy=proxy,
        transport=transport,
        trust_env=False,
        follow_redirects=False,
    )
