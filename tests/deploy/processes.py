"""Processes that serve HTTP, started by the commands of ``deploy/``."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.servers.kafka_node import free_port
from tests.stack import PATIENCE, clean_env, until

BINMIRROR = (sys.executable, "-m", "consumer")
"""What stands for the installed program."""
SHOWN = 4000


@dataclass
class Running:
    """A process that serves HTTP."""

    process: subprocess.Popen[bytes]
    url: str
    output: Path

    async def answers(self, path: str, status: int = 200) -> None:
        """Wait until ``path`` is answered with ``status``."""

        async def says() -> bool:
            assert self.process.poll() is None, self.output.read_text()[-SHOWN:]
            try:
                async with httpx.AsyncClient(base_url=self.url, verify=False, timeout=5) as client:  # noqa: S501 - a certificate made for this test
                    return (await client.get(path)).status_code == status
            except httpx.TransportError:
                return False

        await until(says, f"{self.url}{path} answers {status}")

    def stop(self) -> int:
        """SIGTERM, as systemd and container engines stop it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def started(
    command: Sequence[str], env: Mapping[str, str], folder: Path, url: str, name: str
) -> Iterator[Running]:
    """The process; it never outlives the block."""
    output = folder / f"{name}.log"
    with output.open("ab") as stream:
        process = subprocess.Popen(
            command, env={**clean_env(), **env}, cwd=folder, stdout=stream, stderr=stream
        )
    try:
        yield Running(process, url, output)
    finally:
        process.kill()
        process.wait(PATIENCE)


@contextmanager
def service(arguments: Sequence[str], env: Mapping[str, str], folder: Path, name: str) -> Iterator[Running]:
    """``binmirror ARGUMENTS`` on a free port."""
    port = free_port()
    changed = {**env, "BINMIRROR_PORT": str(port), "BINMIRROR_HOST": "127.0.0.1"}
    with started([*BINMIRROR, *arguments], changed, folder, f"http://127.0.0.1:{port}", name) as running:
        yield running
