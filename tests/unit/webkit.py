"""What the tests of the web layer share: an application with its log lines, and a real server for it."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from starlette.types import ASGIApp

from consumer.bootstrap.server import bind, create_server
from consumer.clock import SystemClock
from consumer.eventlog.base import Appended, Producer
from consumer.log import Output, create_log
from consumer.metrics import Metrics
from consumer.ops.purge import Purge
from consumer.projection.base import EventQuery, EventRow, Page, ProjectionInfo, ProjectionReader
from consumer.projection.lookups_base import CodeAsk, Known, ResourceAsk
from consumer.projection.mirror_base import EventPage, Stats
from consumer.types import HealthCheck, NewRecord, Position, Project, Role
from consumer.web.api import Api
from consumer.web.app import Webhooks, create_app
from consumer.web.signature import sign
from handlers.changes import Entry
from schemas.trash_bin import BinQuery

SECRET: Final = b"whsec-of-the-tests"
PATH: Final = "/webhooks/voucherify"
DATA: Final = Path(__file__).parent.parent / "data" / "voucherify"
DELETED: Final = (DATA / "webhooks" / "voucher.deleted.json").read_bytes()
MAX_BODY: Final = 200_000
PROJECT: Final = Project(
    "default", webhook_secrets=(SECRET,), api_app_id="app-id", api_app_token=b"app-token"
)
CREDENTIALS: Final = {"X-App-Id": "app-id", "X-App-Token": "app-token"}


class Web:
    """An application and what it leaves behind."""

    def __init__(
        self,
        producer: Producer | None = None,
        reader: ProjectionReader | None = None,
        *,
        purge: Purge | None = None,
        projects: Mapping[str, Project] | None = None,
        health: Mapping[Role, HealthCheck] | None = None,
        body_timeout: float = 30.0,
        metrics: Metrics | None = None,
        public_url: str | None = None,
        **parts: Any,
    ) -> None:
        """``parts``: what else ``Api`` is made of."""
        self.metrics = metrics or Metrics()
        self.reader = reader
        self.shutting_down = False
        self._stream = io.BytesIO()
        self._output = Output(self._stream)
        webhooks = None
        if producer is not None:
            webhooks = Webhooks(
                producer=producer,
                max_body_bytes=MAX_BODY,
                body_timeout=body_timeout,
                public_url=public_url,
            )
        self.app: ASGIApp = create_app(
            projects=projects or {PROJECT.name: PROJECT},
            webhooks=webhooks,
            api=None if reader is None else Api(reader=reader, purge=purge, **parts),
            health=health or {},
            metrics=self.metrics,
            clock=SystemClock(),
            log=create_log(self._output, level="debug", console=False),
            shutting_down=lambda: self.shutting_down,
            about=lambda: {"version": "1.2.3"},
        )

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log lines so far."""
        self._output.flush()
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    @property
    def line(self) -> dict[str, Any]:
        """The only log line."""
        (line,) = self.lines
        return line

    def count(self, outcome: str, project: str = "default") -> float:
        """Deliveries counted with this outcome."""
        labels = {"outcome": outcome, "project": project}
        return self.metrics.registry.get_sample_value("binmirror_deliveries_total", labels) or 0.0

    def client(self) -> httpx.AsyncClient:
        """A client that calls the application without a network."""
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://binmirror.test")

    @staticmethod
    def remote(port: int) -> httpx.AsyncClient:
        """A client of a served application."""
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}")

    async def post(self, body: bytes, path: str = PATH, secret: bytes = SECRET) -> httpx.Response:
        """Send a signed delivery."""
        async with self.client() as client:
            headers = {"X-Voucherify-Signature": sign(body, secret).decode()}
            return await client.post(path, content=body, headers=headers)

    async def get(self, url: str, **headers: str) -> httpx.Response:
        async with self.client() as client:
            return await client.get(url, headers=headers)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[int]:
        """Serve on a real socket; gives the port."""
        listener = bind("127.0.0.1", 0)
        server = create_server(self.app, shutdown_deadline=5)
        task = asyncio.create_task(server.serve(sockets=[listener]), name="server")
        try:
            await until(lambda: server.started or task.done())
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


class FailingProducer:
    """A log that takes nothing, for reasons that a real one has seldom."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def start(self) -> None:
        """Nothing to open."""

    async def append(self, record: NewRecord) -> Appended:
        del record
        raise self._error

    async def ping(self) -> None:
        raise self._error

    async def stop(self) -> None:
        """Nothing to close."""


class ListProducer:
    """A log in a list: for answers that a SQLite log does not give, and for waiting appends."""

    def __init__(self, answer: Appended | None = None) -> None:
        self.records: list[NewRecord] = []
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._answer = answer

    async def start(self) -> None:
        """Nothing to open."""

    async def append(self, record: NewRecord) -> Appended:
        self.asked.set()
        await self.may_answer.wait()
        self.records.append(record)
        return self._answer or Appended(Position(0, len(self.records) - 1), "log")

    async def ping(self) -> None:
        """Always well."""

    async def stop(self) -> None:
        """Nothing to close."""


class FailingReader:
    """A projection that answers nothing, for whatever reason."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def start(self) -> None:
        """Nothing to open."""

    async def list_bin(self, project: str, query: BinQuery) -> Page:
        del project, query
        raise self._error

    async def entry(self, project: str, entry_id: str) -> Entry | None:
        del project, entry_id
        raise self._error

    async def events(self, query: EventQuery) -> Sequence[EventRow]:
        del query
        raise self._error

    async def event(self, project: str | None, event_id: str) -> EventRow | None:
        del project, event_id
        raise self._error

    async def info(self) -> ProjectionInfo:
        raise self._error

    async def ping(self) -> None:
        raise self._error

    async def stop(self) -> None:
        """Nothing to close."""


class FailingLookups:
    """Lookups that find no projection."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def look_up(self, project: str, asks: Sequence[CodeAsk | ResourceAsk]) -> Sequence[Known]:
        del project, asks
        raise self._error


class FailingMirror:
    """A mirror that finds no projection."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def events(self, query: EventQuery) -> EventPage:
        del query
        raise self._error

    async def stats(self, project: str, received_from: int) -> Stats:
        del project, received_from
        raise self._error


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for ``condition``, up to a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


async def exchange(port: int, *parts: bytes) -> bytes:
    """Send raw bytes, then read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


def is_error(response: httpx.Response, status: int, key: str) -> bool:
    """Check that ``response`` is an error in the one shape."""
    body = response.json()
    assert response.status_code == status
    assert body["code"] == status
    assert body["key"] == key
    assert body["message"]
    assert body["request_id"] == response.headers["x-request-id"]
    assert len(body["request_id"]) == 20
    assert body["request_id"].startswith("v-")
    return True
