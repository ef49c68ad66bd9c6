"""Processes under measurement: started on a core of their own, ready when they answer, stopped in the end."""

import contextlib
import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT, cores, cpu_seconds, on_core
from consumer.settings import clean_environment
from tests.servers.kafka import KafkaBroker
from tests.servers.kafka_node import free_port
from tests.servers.postgres import PostgresServer

SECRET = b"a-secret-of-the-benchmark"
APP_ID, APP_TOKEN = "benchmark", "a-token-of-the-benchmark"
SERVE = ("-m", "consumer", "serve")
BARE = ("-m", "benchmarks.bare")
CREDENTIALS = {"X-App-Id": APP_ID, "X-App-Token": APP_TOKEN}
_PATIENCE = 30.0


@dataclass(frozen=True)
class Server:
    """A process that listens."""

    pid: int
    port: int
    log: Path
    """Its lines, in JSON."""

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def cpu(self) -> float:
        return cpu_seconds(self.pid)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET with the benchmark's credentials; 0 when nobody listens (yet)."""
        connection = http.client.HTTPConnection(*self.address, timeout=5)
        try:
            connection.request("GET", path, headers=CREDENTIALS)
            response = connection.getresponse()
            return response.status, response.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()


@contextlib.contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    settings: Mapping[str, str],
    *,
    root: Path = ROOT,
    all_cores: bool = False,
) -> Iterator[Server]:
    """A server by ``command`` (arguments of Python) with ``settings``, answering.

    It is alone on its core, unless ``all_cores``.
    """
    port = free_port()
    defaults = {
        "PORT": str(port),
        "WEBHOOK_SECRETS": SECRET.decode(),
        "API_APP_ID": APP_ID,
        "API_APP_TOKEN": APP_TOKEN,
        "EVENT_LOG": f"sqlite:///{folder}/log.db",
        "PROJECTION": f"sqlite:///{folder}/bin.db",
        "SPOOL": f"{folder}/spool.db",
        "LOG_FORMAT": "json",
        "KAFKA_ALLOW_SINGLE_REPLICA": "true",
    }
    env = clean_environment({**defaults, **settings})
    env["PYTHONPATH"] = str(root)
    lines = folder / f"{port}.log"
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(lines.open("ab"))
        if not all_cores:
            stack.enter_context(on_core(cores()[0]))
        process = subprocess.Popen([sys.executable, *command], env=env, stdout=log, stderr=log, cwd=folder)
    server = Server(process.pid, port, lines)
    try:
        until(lambda: _answers(process, server), f"{command} listens")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(process: "subprocess.Popen[bytes]", server: Server) -> bool:
    if process.poll() is not None:
        raise RuntimeError(server.log.read_text()[-4000:])
    return server.get("/health/live")[0] != 0


def until(
    condition: Callable[[], bool], what: str, *, patience: float = _PATIENCE, pause: float = 0.05
) -> None:
    """Wait for ``condition``. Raises TimeoutError."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience:g} s: {what}")
        time.sleep(pause)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="binmirror-bench-") as name:
        yield Path(name)


@contextlib.contextmanager
def kafka_broker() -> Iterator[KafkaBroker]:
    """On the other core than the server."""
    with folder() as place, on_core(cores()[1]):
        broker = KafkaBroker(place)
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()


@contextlib.contextmanager
def postgres() -> Iterator[PostgresServer]:
    """On the other core than the server."""
    with on_core(cores()[1]):
        server = PostgresServer()
        try:
            yield server
        finally:
            server.close()
