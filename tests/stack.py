"""Runs the real service as a process, on either stack, and talks to it as Voucherify and clients do."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from schemas.samples import sign, voucher_deleted
from tests.servers.kafka_node import free_port
from tests.servers.prefork import Forked

SECRET = b"a-webhook-secret"
APP_ID = "app-id"
APP_TOKEN = "app-token"
CREDENTIALS = {"X-App-Id": APP_ID, "X-App-Token": APP_TOKEN}
PATIENCE = 60.0
"""Seconds that a condition may take before a test fails; far more than it needs."""


@dataclass
class Stack:
    """The addresses of an event log and a projection, as settings."""

    name: str
    folder: Path
    env: dict[str, str]

    def service(self, *roles: str, **env: str) -> "Service":
        """A process with ``roles`` (all by default) on this stack; not started yet."""
        return Service(self, roles, env)


@dataclass
class Service:
    """One ``binmirror serve`` process; may be started again after it died."""

    stack: Stack
    roles: Sequence[str]
    extra_env: Mapping[str, str]
    port: int = field(default_factory=free_port)
    process: Forked | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.stack.folder / f"serve-{self.port}.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def environment(self) -> dict[str, str]:
        """What the process runs with."""
        return {
            **clean_env(),
            **self.stack.env,
            "BINMIRROR_PORT": str(self.port),
            "BINMIRROR_WEBHOOK_SECRETS": SECRET.decode(),
            "BINMIRROR_API_APP_ID": APP_ID,
            "BINMIRROR_API_APP_TOKEN": APP_TOKEN,
            **self.extra_env,
        }

    def start(self) -> "Service":
        with self.log.open("ab") as log:
            self.launch(log.fileno())
        return self

    def launch(self, output: int) -> None:
        """Start the process with ``output`` as its standard output and error."""
        roles = [word for role in self.roles for word in ("--role", role)]
        self.process = Forked(
            ["serve", *roles], env=self.environment(), cwd=self.stack.folder, stdout=output, stderr=output
        )

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """``kill -9``."""
        self._signal(signal.SIGKILL)
        self._reap()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._signal(signal.SIGTERM)
        return self._reap()

    def _signal(self, number: int) -> None:
        if self.alive():
            os.kill(self.pid, number)

    def _reap(self) -> int:
        assert self.process is not None
        return self.process.wait(timeout=PATIENCE)

    async def live(self) -> "Service":
        """Wait until it answers at all."""

        async def answers() -> bool:
            assert self.alive(), self.log.read_text()[-4000:]
            async with client_of(self.url) as client:
                try:
                    return (await client.get("/health/live", timeout=2)).status_code == 200
                except httpx.TransportError:
                    return False

        await until(answers, f"{self.url} is live")
        return self

    async def ready(self) -> "Service":
        """Wait until every role is ready."""

        async def says_ready() -> bool:
            assert self.alive(), self.log.read_text()[-4000:]
            async with client_of(self.url) as client:
                try:
                    response = await client.get("/health/ready", timeout=5)
                except httpx.TransportError:
                    return False
                return response.status_code == 200 and response.json()["status"] == "ready"

        await until(says_ready, f"{self.url} is ready")
        return self


def client_of(
    url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 30
) -> httpx.AsyncClient:
    """A client for plain HTTP. The system's certificates take longer to load than 20 requests do."""
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, verify=False)  # noqa: S501 - no TLS here


@contextmanager
def running(*services: Service) -> Iterator[None]:
    """Start the services; whatever happens, none of them outlives the block."""
    try:
        for service in services:
            service.start()
        yield
    finally:
        for service in services:
            service.thaw()
            service.kill()


@dataclass
class Answer:
    """What one delivery got; status 0 when there was no answer."""

    voucher_id: str
    status: int
    seconds: float
    body: dict[str, Any]


async def deliver(
    client: httpx.AsyncClient, body: bytes, *, path: str = "", secret: bytes = SECRET
) -> httpx.Response:
    """Post a signed delivery as Voucherify does."""
    headers = {"x-voucherify-signature": sign(secret, body), "content-type": "application/json"}
    return await client.post(f"/webhooks/voucherify{path}", content=body, headers=headers, timeout=10)


class Load:
    """Deletes vouchers without pause until told to stop; remembers every answer."""

    def __init__(
        self, url: Callable[[], str], *, prefix: str, connections: int = 8, pause: float = 0.01
    ) -> None:
        self._url = url
        self._prefix = prefix
        self._connections = connections
        self._pause = pause
        self._count = 0
        self._stop = asyncio.Event()
        self.answers: list[Answer] = []

    @property
    def accepted(self) -> list[str]:
        """Ids of the vouchers whose deletion was answered with 2XX."""
        return [answer.voucher_id for answer in self.answers if 200 <= answer.status < 300]

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self._connections)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _run(self) -> None:
        async with client_of(self._url()) as client:
            while not self._stop.is_set():
                self._count += 1
                voucher_id = f"v_{self._prefix}{self._count}"
                await self._one(client, voucher_id)
                await asyncio.sleep(self._pause)

    async def _one(self, client: httpx.AsyncClient, voucher_id: str) -> None:
        body = voucher_deleted(
            voucher_id=voucher_id, code=f"CODE-{voucher_id}", event_id=f"evvou_{voucher_id}"
        )
        client.base_url = httpx.URL(self._url())
        started = time.monotonic()
        try:
            response = await deliver(client, body)
        except httpx.TransportError:
            self.answers.append(Answer(voucher_id, 0, time.monotonic() - started, {}))
            return
        seconds = time.monotonic() - started
        self.answers.append(Answer(voucher_id, response.status_code, seconds, response.json()))


async def bin_of(url: str) -> list[dict[str, Any]]:
    """The whole bin, page by page."""
    entries: list[dict[str, Any]] = []
    async with client_of(url, headers=CREDENTIALS, timeout=30) as client:
        params = {"limit": "100"}
        while True:
            response = await client.get("/v1/trash-bin", params=params)
            response.raise_for_status()
            page = response.json()
            entries += page["data"]
            if not page["has_more"]:
                return entries
            params["starting_after_id"] = page["more_starting_after"]


async def in_bin(url: str, resource_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Wait until the bin holds all of ``resource_ids``; the bin then."""
    bin_now: list[dict[str, Any]] = []

    async def holds() -> bool:
        nonlocal bin_now
        try:
            bin_now = await bin_of(url)
        except httpx.HTTPError:
            return False
        return not (set(resource_ids) - {entry["resource_id"] for entry in bin_now})

    await until(holds, f"{len(resource_ids)} entries are in the bin", pause=0.2)
    return bin_now


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, *, pause: float = 0.05, patience: float = PATIENCE
) -> None:
    """Wait for ``condition``; fail loudly when it does not come."""
    deadline = time.monotonic() + patience
    while not await condition():
        assert time.monotonic() < deadline, f"not within {patience} s: {what}"
        await asyncio.sleep(pause)


def clean_env() -> dict[str, str]:
    """The environment without any setting of binmirror's.

    Without PYTHONDONTWRITEBYTECODE too: processes that compile all their imports again start slowly.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BINMIRROR_") and name != "PYTHONDONTWRITEBYTECODE"
    }
