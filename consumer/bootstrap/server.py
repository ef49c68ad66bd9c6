"""The HTTP server: uvicorn, told to leave signals, logs and the environment to us."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from consumer.errors import SettingsError
from consumer.web.protocol import LeanProtocol

_BACKLOG: Final = 2048
_KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the idle timeouts that proxies commonly have, so that they close a connection, not we."""


class HttpServer(uvicorn.Server):
    """Serves until told to exit; the process's signals are the service's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(host: str, port: int) -> socket.socket:
    """Take the port, without accepting connections yet. Raises SettingsError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise SettingsError(
            f"PORT: {host} port {port} cannot be listened on ({error.strerror}); "
            "for example BINMIRROR_PORT=8081, or BINMIRROR_HOST=127.0.0.1"
        ) from None
    return sock


def create_server(app: ASGIApp, *, shutdown_deadline: float) -> HttpServer:
    """A server for ``app``; requests in flight at its exit have ``shutdown_deadline`` seconds."""
    config = uvicorn.Config(
        app,
        interface="asgi3",
        http=LeanProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        forwarded_allow_ips="",
        server_header=False,
        backlog=_BACKLOG,
        workers=1,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(shutdown_deadline)),
    )
    return HttpServer(config)
