"""uvicorn's protocol with gathered writes: every answer arrives whole and in order."""

import asyncio
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from consumer.bootstrap.server import bind, create_server
from consumer.web.protocol import GatheringProtocol
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
    """Echoes the path; under /large sends 3 MB in parts."""
    del receive
    parts = [CHUNK] * 30 if scope["path"] == "/large" else [scope["path"].encode()]
    length = b"%d" % sum(map(len, parts))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def connect() -> tuple[GatheringProtocol, Transport]:
    server = create_server(app, shutdown_deadline=5)
    server.config.load()
    protocol = GatheringProtocol(server.config, server.server_state, {}, asyncio.get_running_loop())
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
    protocol.timeout_keep_alive_handler()


async def test_close_writes_first() -> None:
    """What was written before the connection is closed still leaves."""
    protocol, transport = connect()
    protocol.data_received(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await until(lambda: transport.closing)
    assert b"".join(transport.written).endswith(b"/a")


async def test_client_gone_before_the_write() -> None:
    """An answer for a client that has just gone is dropped without an error."""
    protocol, transport = connect()
    protocol.transport.write(b"x")
    transport.closing = True
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert transport.written == []


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
