"""The application as ``serve --role api`` makes it, and which routes it has."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from consumer.bootstrap.api import make_api
from consumer.bootstrap.tasks import Tasks
from consumer.clock import SystemClock
from consumer.log import Output, create_log
from consumer.metrics import Metrics
from consumer.settings import Settings, isolated_settings
from consumer.web.api import Api
from consumer.web.app import create_app
from consumer.web.frame import Frame
from tests.unit.access_cases import PUBLIC


def settings_in(folder: Path) -> Settings:
    """Two projects, alpha and beta, on files."""
    return isolated_settings(
        event_log=f"sqlite:///{folder}/log.db",
        projection=f"sqlite:///{folder}/bin.db",
        deletes="local",
        stream_heartbeat=0.1,
        projects={
            name: {"api_app_id": f"{name}-id", "api_app_token": f"{name}-token"} for name in ("alpha", "beta")
        },
    )


@asynccontextmanager
async def application(settings: Settings) -> AsyncIterator[tuple[Frame, Api]]:
    """With everything that an API has."""
    stop, clock, metrics = asyncio.Event(), SystemClock(), Metrics()
    log = create_log(Output(io.BytesIO()), level="critical", console=False)
    tasks = Tasks(stop, log)
    async with AsyncExitStack() as resources:
        api, check = make_api(
            settings, None, None, resources, tasks, stop=stop, clock=clock, log=log, metrics=metrics
        )
        frame = create_app(
            projects=settings.resolved_projects(),
            webhooks=None,
            api=api,
            health={"api": check},
            metrics=metrics,
            clock=clock,
            log=log,
            shutting_down=stop.is_set,
        )
        assert isinstance(frame, Frame)
        yield frame, api
        stop.set()
        await tasks.finish(5)


def protected(frame: Frame) -> set[tuple[str, str]]:
    """(method, path) of every route that asks for credentials."""
    found: set[tuple[str, str]] = set()
    for route in frame.routes:
        methods = (route.methods or set()) - {"HEAD"} if isinstance(route, Route) else {route.documented[0]}
        found |= {(method, route.path) for method in methods if route.path not in PUBLIC}
    return found


async def protected_routes(folder: Path) -> set[tuple[str, str]]:
    """Those of an application made for this."""
    async with application(settings_in(folder)) as (frame, _):
        return protected(frame)


async def beginning(app: ASGIApp, request: httpx.Request, until: bytes) -> httpx.Response:
    """An answer as far as the first ``until``, which it may never have if it ends; then the client goes."""
    scope = {
        "type": "http",
        "method": request.method,
        "path": request.url.path,
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
    }
    enough = asyncio.Event()
    start: Message = {}
    body = b""

    async def receive() -> Message:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start":
            start = message
        body += message.get("body", b"")
        if until in body:
            enough.set()

    async with asyncio.timeout(20):
        await app(scope, receive, send)
    return httpx.Response(start["status"], headers=start["headers"], content=body, request=request)
