"""uvicorn's HTTP protocol, with less work for each request.

What it does is what uvicorn does, but that what is not HTTP is refused in the shape of all errors. It differs
in four more things, each a part of what a delivery costs:

- An answer that is whole when it is sent leaves in one write, its head and its body together. uvicorn writes
  them one by one: twice the system calls, and twice the wake-ups of whoever waits for the answer.
- A body that has arrived is handed over without waiting for an event.
- A connection has one timer for its idle times, not a new one after each answer.
- What was made of a request's target or of a header's line is remembered, since nearly all are alike.
"""

import asyncio
import math
import socket
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import httptools
from starlette.types import Receive
from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from consumer.web.errors import JSON, REQUEST_ID_HEADER, Problem, new_request_id
from schemas.errors import unreadable_request

_REMEMBERED: Final = 256
_LONGEST_REMEMBERED: Final = 256
"""Bytes of a target, so that what is remembered stays small whatever clients send."""
_FRAMING: Final = frozenset({b"connection", b"transfer-encoding"})


class LeanProtocol(HttpToolsProtocol):
    """For ``uvicorn.Config(http=…)``."""

    _idle_since: float | None = None
    """When the last answer was complete; None while a request is under way."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def on_headers_complete(self) -> None:
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        find = _target if len(self.url) <= _LONGEST_REMEMBERED else _target.__wrapped__
        path, scope["raw_path"], scope["query_string"] = find(self.url)
        scope["path"] = self.root_path + path
        before: RequestResponseCycle | None = self.cycle
        self.cycle = cycle = _Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            # Pipelined: it waits for the answer before it.
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn has logged it
        """Refuse what cannot be read as a request; nothing more is read from its connection."""
        request_id = new_request_id()
        content = Problem(unreadable_request()).content(request_id)
        headers = [
            *self.server_state.default_headers,
            JSON,
            (b"content-length", b"%d" % len(content)),
            (REQUEST_ID_HEADER, request_id.encode("ascii")),
            (b"connection", b"close"),
        ]
        lines = [STATUS_LINE[400], *(_header_line(name, value) for name, value in headers), b"\r\n", content]
        self.transport.write(b"".join(lines))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        own: list[asyncio.Task[None]] = []
        own.append(self.loop.create_task(_run(cycle, app, self.tasks, own)))
        self.tasks.add(own[0])

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_after(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # busy; the end of its answer starts the timer again
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._look_after(left)
        else:
            super().timeout_keep_alive_handler()

    def _look_after(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)


class _Cycle(RequestResponseCycle):
    """One request and its answer."""

    _start: Any = None
    """The answer's head, until it is known whether the body is whole."""

    async def receive(self) -> ASGIReceiveEvent:
        if self.more_body or not self.body or self.disconnected or self.response_complete:
            return await super().receive()
        self.message_event.clear()
        self.flow.resume_reading()
        message: ASGIReceiveEvent = {"type": "http.request", "body": bytes(self.body), "more_body": False}
        self.body = bytearray()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        start = self._start
        if start is None:
            if message["type"] == "http.response.start" and not self.response_started:
                self._start = message
            else:
                await super().send(message)
            return
        self._start = None
        if self._answer(start, message):
            return
        await super().send(start)
        await super().send(message)

    def _answer(self, start: Any, message: Any) -> bool:  # noqa: ANN401 - the two of many types that matter
        """Write head and body at once, if that is all of an answer without anything special."""
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or message.get("more_body", False):
            return False
        if (
            not self.keep_alive
            or self.disconnected
            or self.flow.write_paused
            or self.scope["method"] == "HEAD"
        ):
            return False
        lines = [STATUS_LINE[start["status"]]]
        complete = False
        for name, value in self.default_headers:
            lines.append(_header_line(name, value))
        for name, value in start["headers"]:
            if name == b"content-length":
                complete = int(value) == len(body)
            elif name in _FRAMING:
                return False
            lines.append(_header_line(name, value))
        if not complete:
            return False
        lines += (b"\r\n", body)
        self.response_started = True
        self.waiting_for_100_continue = False
        # The client may be going: uvloop raises on a closed transport.
        if not self.transport.is_closing():
            self.transport.write(b"".join(lines))
        self.response_complete = True
        self.message_event.set()
        self.on_response()
        return True


def abort(receive: Receive) -> None:
    """Drop the connection whose request ``receive`` reads, with what its client does not take.

    Closing it would wait for the client; ASGI knows no other way to end an answer.
    """
    cycle = getattr(receive, "__self__", None)
    if isinstance(cycle, RequestResponseCycle):
        cycle.transport.abort()


def give_up(receive: Receive, seconds: float) -> None:
    """Drop the connection whose request ``receive`` reads once its peer acknowledges nothing for so long.

    Else the system goes on trying for a quarter of an hour. Only Linux can do it.
    """
    cycle = getattr(receive, "__self__", None)
    if sys.platform == "linux" and isinstance(cycle, RequestResponseCycle):
        connection = cycle.transport.get_extra_info("socket")
        with suppress(OSError):  # the client may be gone already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, math.ceil(seconds * 1000))


async def _run(
    cycle: RequestResponseCycle,
    app: ASGI3Application,
    tasks: set[asyncio.Task[None]],
    own: list[asyncio.Task[None]],
) -> None:
    # uvicorn has a callback for this, which is another turn of the loop for each request. The task is given
    # along in ``own``: asking which one it is takes longer.
    try:
        await cycle.run_asgi(app)
    finally:
        tasks.difference_update(own)


@lru_cache(_REMEMBERED)
def _target(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, raw path and query."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


@lru_cache(_REMEMBERED)
def _header_line(name: bytes, value: bytes) -> bytes:
    """Raises RuntimeError as uvicorn does, should a header hold what would begin another one."""
    if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        raise RuntimeError("Invalid HTTP header.")
    return b"%b: %b\r\n" % (name, value)
