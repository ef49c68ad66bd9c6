"""Reads a request's body from ASGI within limits of size and time."""

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any

from starlette.requests import Request
from starlette.types import Message, Receive

from consumer.web.errors import CLOSE, ProblemError
from schemas.errors import payload_too_large, request_timeout


class BodyTooLargeError(Exception):
    """The body exceeds the limit; the rest of it was not read."""


class SlowSenderError(Exception):
    """The whole body did not arrive in time."""


class ClientGoneError(Exception):
    """The client closed the connection before the body was complete."""


async def read_body(receive: Receive, *, limit: int, seconds: float) -> bytes:
    """The whole body: at most ``limit`` bytes, complete within ``seconds``.

    Nearly every body is complete when it is asked for. So the first receive is driven by hand, and a
    timer is made only when there is something to wait for: a timer costs as much as a signature.
    """
    steps = receive().__await__()
    try:
        waiting_for = next(steps)
    except StopIteration as arrived:
        message: Message = arrived.value
        body = _part(message, limit)
        if not message.get("more_body", False):
            return body
        return await _collect(body, receive(), receive, limit, seconds)
    return await _collect(b"", _Begun(steps, waiting_for), receive, limit, seconds)


async def read_whole_body(request: Request, *, limit: int, seconds: float) -> bytes:
    """As ``read_body``, for endpoints: whatever keeps the body from being whole is answered, and the
    connection closed, because the rest of the body may still be on its way.

    Raises:
        ProblemError: 413, 408.

    """
    try:
        return await read_body(request.receive, limit=limit, seconds=seconds)
    except BodyTooLargeError:
        raise ProblemError(payload_too_large(limit), CLOSE) from None
    except (SlowSenderError, ClientGoneError):
        raise ProblemError(request_timeout(), CLOSE) from None


async def _collect(
    body: bytes, following: Awaitable[Message], receive: Receive, limit: int, seconds: float
) -> bytes:
    parts = [body]
    room = limit - len(body)
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await following
                part = _part(message, room)
                parts.append(part)
                room -= len(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
                following = receive()
    except TimeoutError:
        raise SlowSenderError from None


def _part(message: Message, room: int) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    part: bytes = message.get("body", b"")
    if len(part) > room:
        raise BodyTooLargeError
    return part


class _Begun(Awaitable[Message]):
    """An awaitable that was already driven to its first wait."""

    def __init__(self, steps: Generator[Any, Any, Message], waiting_for: Any) -> None:  # noqa: ANN401 - the event loop's own
        self._steps = steps
        self._waiting_for = waiting_for

    def __await__(self) -> Generator[Any, Any, Message]:
        try:
            yield self._waiting_for
        except BaseException:
            self._steps.close()
            raise
        return (yield from self._steps)
