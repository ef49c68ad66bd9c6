"""uvicorn's protocol with less work: every answer arrives whole and in order, idle connections end."""

import asyncio
import socket
from functools import partial
from typing import Any, Final

import pytest
from starlette.types import Receive, Scope, Send

from consumer.bootstrap.server import bind, create_server
from consumer.web.protocol import LeanProtocol, give_up
from schemas.errors import ErrorBody
from tests.unit.webkit import exchange, until

CHUNK: Final = b"x" * 100_000


class Transport(asyncio.Transport):
    """Notes what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: Any) -> None:
        assert not self.closing
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        """Nothing to pause."""

    def resume_reading(self) -> None:
        """Nothing to resume."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes the path, and the body behind it; /large sends 3 MB in parts, /wrong a bad header."""
    body = scope["path"].encode()
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    parts = [CHUNK] * 30 if scope["path"] == "/large" else [body]
    length = b"%d" % sum(map(len, parts))
    headers = [(b"content-length", length)]
    if scope["path"] == "/wrong":
        headers.append((b"x-wrong", b"a\r\nx-other: b"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for part in parts[:-1]:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": parts[-1]})


def connect() -> tuple[LeanProtocol, Transport]:
    server = create_server(app, shutdown_deadline=5)
    server.config.load()
    protocol = LeanProtocol(server.config, server.server_state, {}, asyncio.get_running_loop())
    transport = Transport()
    protocol.connection_made(transport)
    return protocol, transport


async def test_one_write_for_head_and_body() -> None:
    """An answer leaves in one write."""
    protocol, transport = connect()
    protocol.data_received(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: bool(transport.written))
    (answer,) = transport.written
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n/a")
    protocol.connection_lost(None)


async def test_body_in_parts() -> None:
    """A body is the same whether it comes with its head, after it, or in pieces."""
    request = b"POST /p%2Fq?x HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabcdef"
    for cuts in ((), (-6,), (-4, -2), (10, 40)):
        protocol, transport = connect()
        start = 0
        for cut in [*(cut % len(request) for cut in cuts), len(request)]:
            protocol.data_received(request[start:cut])
            start = cut
            await asyncio.sleep(0)
        await until(partial(bool, transport.written))
        assert b"".join(transport.written).endswith(b"\r\n\r\n/p/qabcdef")
        protocol.connection_lost(None)


async def test_header_that_would_begin_another() -> None:
    """A header with the end of a line in it is refused, not sent."""
    protocol, transport = connect()
    protocol.data_received(b"GET /wrong HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: bool(transport.written))
    answer = b"".join(transport.written)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"x-other" not in answer


@pytest.mark.parametrize(
    "request_",
    [b"Hello\r\n\r\n", b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 70_000)],
    ids=["no HTTP", "long"],
)
async def test_what_is_no_request(request_: bytes) -> None:
    """What cannot be read as a request is refused in the shape of all errors; its connection ends."""
    protocol, transport = connect()
    protocol.data_received(request_)
    head, _, content = b"".join(transport.written).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ") for line in lines)
    error = ErrorBody.model_validate_json(content)
    assert status == "HTTP/1.1 400 Bad Request"
    assert headers["content-length"] == str(len(content))
    assert (headers["content-type"], headers["connection"]) == ("application/json", "close")
    assert (error.code, error.key) == (400, "invalid_request")
    assert error.request_id == headers["x-request-id"]
    assert transport.is_closing()


async def test_idle_connection_is_closed() -> None:
    """A connection is closed when it was idle for long enough since its last answer, not before."""
    protocol, transport = connect()
    protocol.timeout_keep_alive = 60
    get = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    protocol.data_received(get)
    await until(lambda: len(transport.written) == 1)
    protocol.timeout_keep_alive_handler()
    protocol.data_received(get)
    protocol.timeout_keep_alive_handler()
    await until(lambda: len(transport.written) == 2)
    assert not transport.is_closing()
    protocol.timeout_keep_alive = 0
    protocol.timeout_keep_alive_handler()
    assert transport.is_closing()
    protocol.connection_lost(None)


async def test_close_writes_first() -> None:
    """What was written before the connection is closed still leaves."""
    protocol, transport = connect()
    protocol.data_received(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await until(lambda: transport.closing)
    assert b"".join(transport.written).endswith(b"/a")


async def test_client_gone_before_the_write() -> None:
    """An answer for a client that has just gone is dropped without an error."""
    protocol, transport = connect()
    protocol.data_received(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    transport.closing = True
    await until(lambda: not protocol.tasks)
    assert transport.written == []
    assert protocol.cycle.response_complete


async def test_gives_up_on_a_peer_that_is_gone_without_a_word() -> None:
    """Where the system can, an answer bounds how long its connection waits for an acknowledgement."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        give_up(receive, 1.5)
        connection = receive.__self__.transport.get_extra_info("socket")  # type: ignore[attr-defined]  # the cycle's
        limits.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        await app(scope, receive, send)

    limits: list[int] = []
    listener = bind("127.0.0.1", 0)
    server = create_server(limited, shutdown_deadline=5)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="server")
    await until(lambda: server.started)
    await exchange(listener.getsockname()[1], b"GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    server.should_exit = True
    await task
    assert limits == [1500]


async def test_over_a_socket() -> None:
    """Pipelined answers, small and large, arrive in order."""
    listener = bind("127.0.0.1", 0)
    server = create_server(app, shutdown_deadline=5)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="server")
    await until(lambda: server.started)
    get = b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n"
    requests = [get % (path, b"") for path in (b"/1", b"/large", b"/2")]
    requests.append(get % (b"/3", b"Connection: close\r\n"))
    answer = await exchange(listener.getsockname()[1], b"".join(requests))
    server.should_exit = True
    await task
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [b"/1", CHUNK * 30, b"/2", b"/3"]
