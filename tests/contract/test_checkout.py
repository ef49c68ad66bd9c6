"""The example of a checkout decides as its documentation says, whatever happens to binmirror."""

import asyncio
import importlib.util
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.contract.live import example_environment, live_service
from tests.stack import APP_ID, APP_TOKEN, Service

EXAMPLE: Final = Path(__file__).parents[2] / "docs" / "examples" / "checkout.py"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service with every role."""
    with live_service(tmp_path_factory.mktemp("live")) as served:
        yield served


@pytest.fixture(scope="module")
def checkout() -> Any:
    """The example, as a module."""
    spec = importlib.util.spec_from_file_location("checkout", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def decided(checkout: Any, url: str, code: str, token: str = APP_TOKEN, **how: float) -> str:
    async with checkout.connect(url, APP_ID, token) as client:
        return str(await checkout.decide(client, code, **how))


def test_decides(service: Service) -> None:
    """A deleted voucher's code is rejected, a code that was never seen is Voucherify's to judge."""
    done = subprocess.run(
        [sys.executable, EXAMPLE, "CODE-03", "NEVER/SEEN ä", "CODE-03 "],
        env=example_environment(service) | {"CHECKOUT_DEADLINE": "10"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines == ["CODE-03 reject", "NEVER/SEEN ä ask_voucherify", "CODE-03  ask_voucherify"]


async def test_wrong_credentials(checkout: Any, service: Service) -> None:
    """Whoever gets no verdict asks Voucherify."""
    assert await decided(checkout, service.url, "CODE-03", deadline=10) == "reject"
    assert await decided(checkout, service.url, "CODE-03", token="wrong", deadline=10) == "ask_voucherify"


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[str]:
    """A server that says ``answer`` to everybody; None: it accepts and stays silent."""
    serving = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()  # until the client has gone
        else:
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*filter(None, serving), return_exceptions=True)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\noops",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"not HTTP\r\n\r\n",
    ],
)
async def test_useless_answers(checkout: Any, answer: bytes) -> None:
    """An answer without a verdict rejects nobody."""
    async with answering(answer) as url:
        assert await decided(checkout, url, "CODE", deadline=10) == "ask_voucherify"


async def test_silence(checkout: Any) -> None:
    """A binmirror that does not answer holds up nobody for longer than the deadline."""
    async with answering(None) as url:
        before = time.monotonic()
        assert await decided(checkout, url, "CODE") == "ask_voucherify"
        assert time.monotonic() - before < 5


async def test_nobody_there(checkout: Any) -> None:
    """Nor does one that is not there."""
    async with answering(None) as url:
        pass
    assert await decided(checkout, url, "CODE", deadline=10) == "ask_voucherify"
