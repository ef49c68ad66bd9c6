"""Runs the fake as a real HTTP server in a thread of this process."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.fake_voucherify.app import Event, FakeVoucherify
from tests.fake_voucherify.control import Controlled


class Slot:
    """Serves the fake that lies in it, so that a new fake needs no new server."""

    def __init__(self, fake: FakeVoucherify) -> None:
        self.fake = fake

    async def __call__(self, scope: Event, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        await self.fake(scope, receive, send)


def listen(port: int = 0, host: str = "127.0.0.1") -> socket.socket:
    """A socket that takes connections from now on; 0 is a free port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(1024)
    return listener


def make_server(fake: FakeVoucherify | Controlled | Slot) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            fake,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )


@contextmanager
def serving(fake: FakeVoucherify | Slot, port: int = 0) -> Iterator[str]:
    """Serve while the block runs; gives the address."""
    listener = listen(port)
    server = make_server(fake)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="fake-voucherify", daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        assert not thread.is_alive(), "the fake does not stop"
