"""``POST /webhooks/voucherify``: verifies a delivery, makes it durable, answers. A plain ASGI callable.

What it answers, and why, stands in docs/http.md. In short: 202 once the delivery is durable or known
to be unwanted, 401 for a signature that is not Voucherify's, and 503 whenever the fault is ours, so that
Voucherify sends it again.
"""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from json.encoder import encode_basestring_ascii
from typing import Final, NamedTuple

from starlette.types import Receive, Scope, Send

from consumer.clock import Clock
from consumer.errors import LogUnavailableError, NotDurableError, RecordRefusedError
from consumer.eventlog.base import Producer
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.types import NewRecord, Position, Project
from consumer.web.body import BodyTooLargeError, ClientGoneError, SlowSenderError, read_body
from consumer.web.errors import CLOSE, JSON, RETRY_AFTER, Problem, new_request_id, send_problem
from consumer.web.event_ids import EVENT_ID_HEADER, header_of_event
from consumer.web.signature import HEADER, verify
from consumer.web.targets import Target, Targets
from schemas.errors import (
    method_not_allowed,
    payload_too_large,
    request_timeout,
    service_unavailable,
    unauthorized,
)
from schemas.events import Delivery, Event
from schemas.ids import record_key
from schemas.reading import read
from schemas.records import webhook_headers

_MAX_LOGGED_PATH: Final = 200
_MAX_LENGTH_DIGITS: Final = 18
_OUTCOMES: Final = {"log": "stored", "spool": "spooled"}
_STORED: Final = {"stored": '"log"', "spooled": '"spool"', "unwanted": "false"}


class _RefusedError(Exception):
    """A request that is not answered with 202."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


class _Exchange(NamedTuple):
    """One request, as all its ways to an answer need it."""

    scope: Scope
    send: Send
    target: Target
    started: float
    """On the monotonic clock."""


def _problems(max_body_bytes: int) -> Mapping[str, Problem]:
    """Every answer but 202, by outcome. Unread bodies end the connection with the answer."""
    return {
        "unauthorized": Problem(unauthorized()),
        "method_not_allowed": Problem(method_not_allowed("POST"), ((b"allow", b"POST"),)),
        "timeout": Problem(request_timeout(), CLOSE),
        "too_large": Problem(payload_too_large(max_body_bytes), CLOSE),
        "unavailable": Problem(
            service_unavailable("The delivery could not be stored; send it again."), RETRY_AFTER
        ),
    }


class Receiver:
    """The webhook endpoint."""

    def __init__(
        self,
        *,
        projects: Mapping[str, Project],
        producer: Producer,
        metrics: Metrics,
        clock: Clock,
        log: Logger,
        max_body_bytes: int,
        body_timeout: float,
        shutting_down: Callable[[], bool],
    ) -> None:
        self._targets = Targets(projects, metrics)
        self._producer = producer
        self._seconds = metrics.delivery_seconds
        self._clock = clock
        self._log = log
        self._max_body_bytes = max_body_bytes
        self._body_timeout = body_timeout
        self._shutting_down = shutting_down
        self._problems = _problems(max_body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._clock.monotonic()
        target = self._targets.find(scope["path"])
        exchange = _Exchange(scope, send, target, started)
        try:
            signature, reason = self._read_head(scope)
            body = await read_body(receive, limit=self._max_body_bytes, seconds=self._body_timeout)
            event, record = self._read(target, body, signature, reason)
            outcome, position = "unwanted", None
            if record is not None:
                # Awaited here and not further in: each coroutine between costs every delivery.
                position, place = await self._producer.append(record)
                outcome = _OUTCOMES[place]
        except asyncio.CancelledError:
            await self._refuse(exchange, _RefusedError("unavailable", "shutting_down"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is our fault: 503, with its traceback logged
            await self._fail(exchange, error)
        else:
            await self._accept(exchange, outcome, event, position, len(body))

    def _read(
        self, target: Target, body: bytes, signature: bytes | None, reason: str
    ) -> tuple[Event, NewRecord | None]:
        """The event of a verified delivery, and the record to keep unless it is unwanted."""
        project = target.project
        # Verified in any case: an unknown project must cost what a known one costs.
        verified = verify(body, signature, project.keys)
        if not verified or signature is None or not project.known:
            raise _RefusedError("unauthorized", reason if project.known else "unknown_project")
        now = self._clock.now()
        project.note_delivery(now)
        event = read(Delivery(project.name, "voucherify", target.event_name, now, body))
        if not project.wants(event.type):
            return event, None
        key = record_key(event.project, event.resource_type, event.resource_id, event.event_id)
        headers = webhook_headers(event, event_name=target.event_name, signature=signature)
        return event, NewRecord(key, body, headers)

    def _read_head(self, scope: Scope) -> tuple[bytes | None, str]:
        """The signature and, should it turn out wrong, the reason. Refuses what needs no body."""
        if scope["method"] != "POST":
            raise _RefusedError("method_not_allowed", "method")
        if self._shutting_down():
            raise _RefusedError("unavailable", "shutting_down")
        signature, reason = None, "signature_missing"
        for name, value in scope["headers"]:
            if name == HEADER:
                repeated = reason != "signature_missing"
                signature, reason = (None, "signature_repeated") if repeated else (value, "signature_wrong")
            elif name == b"content-length" and self._is_oversize(value):
                raise _RefusedError("too_large", "content_length")
        return signature, reason

    def _is_oversize(self, content_length: bytes) -> bool:
        # The length comes first: int() refuses a text of thousands of digits.
        return content_length.isdigit() and (
            len(content_length) > _MAX_LENGTH_DIGITS or int(content_length) > self._max_body_bytes
        )

    async def _accept(
        self, exchange: _Exchange, outcome: str, event: Event, position: Position | None, size: int
    ) -> None:
        """Answer a verified delivery that needs no second one: in the log, in the spool, or unwanted."""
        where = "null" if position is None else f'{{"partition":{position[0]},"offset":{position[1]}}}'
        kept = _STORED[outcome]
        body = f'{{"event_id":{encode_basestring_ascii(event.event_id)},"position":{where},"stored":{kept}}}'
        content = body.encode("ascii")
        headers = [JSON, (b"content-length", b"%d" % len(content))]
        if outcome != "unwanted":
            # What is not stored never comes into the projection: there is nothing to wait for.
            headers.append((EVENT_ID_HEADER, header_of_event(event.event_id)))
        send = exchange.send
        try:
            await send({"type": "http.response.start", "status": 202, "headers": headers})
            await send({"type": "http.response.body", "body": content})
        finally:
            seconds = self._count(exchange, outcome)
            self._log.info(
                "delivery",
                project=event.project,
                outcome=outcome,
                status=202,
                event_id=event.event_id,
                type=event.type,
                delivery_id=event.delivery_id,
                partition=None if position is None else position[0],
                offset=None if position is None else position[1],
                bytes=size,
                duration_ms=round(seconds * 1000, 3),
            )

    async def _fail(self, exchange: _Exchange, error: Exception) -> None:
        """Answer what is no 202."""
        match error:
            case _RefusedError():
                await self._refuse(exchange, error)
            case BodyTooLargeError():
                await self._refuse(exchange, _RefusedError("too_large", "body"))
            case SlowSenderError():
                await self._refuse(exchange, _RefusedError("timeout", "slow_sender"))
            case ClientGoneError():
                self._report(exchange, "disconnected", level="warning")
            case LogUnavailableError() | NotDurableError():
                await self._refuse(exchange, _RefusedError("unavailable", str(error)))
            case RecordRefusedError():
                # Only a log without a spool gets here. Asking for the delivery again keeps it alive until
                # someone has raised the log's limit; any other answer would drop it.
                await self._refuse(exchange, _RefusedError("unavailable", f"refused by the log: {error}"))
            case _:
                fault = _RefusedError("unavailable", f"{type(error).__name__}: a fault of binmirror")
                await self._refuse(exchange, fault, exc_info=error)

    async def _refuse(
        self, exchange: _Exchange, refused: _RefusedError, exc_info: BaseException | None = None
    ) -> None:
        problem = self._problems[refused.outcome]
        request_id = new_request_id()
        try:
            await send_problem(exchange.send, problem, request_id)
        finally:
            self._report(
                exchange,
                refused.outcome,
                level="error" if problem.body.code >= HTTPStatus.INTERNAL_SERVER_ERROR else "warning",
                status=problem.body.code,
                reason=refused.reason,
                request_id=request_id,
                **({"exc_info": exc_info} if exc_info else {}),
            )

    def _report(self, exchange: _Exchange, outcome: str, *, level: str, **fields: object) -> None:
        seconds = self._count(exchange, outcome)
        getattr(self._log, level)(
            "delivery",
            project=exchange.target.project.name,
            outcome=outcome,
            path=exchange.scope["path"][:_MAX_LOGGED_PATH],
            duration_ms=round(seconds * 1000, 3),
            **fields,
        )

    def _count(self, exchange: _Exchange, outcome: str) -> float:
        seconds = self._clock.monotonic() - exchange.started
        exchange.target.project.counters[outcome].inc()
        self._seconds.observe(seconds)
        return seconds
