"""One Kafka node (broker and controller in one process), and the signals that tests send to it."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.servers.kafka_packages import class_path, java

_READY_SECONDS = 60.0
_READY_LINE = "Kafka Server started"
AOT_CACHE = Path(sys.prefix) / "kafka.aot"
"""Kafka's classes as the JVM has them once they are loaded and linked; see ``kafka.make_aot_cache``."""
# Java 25 finds fault with the code that it has put there itself.
_CLASSES_ALONE = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching", "-XX:-AOTStubCaching")
_SMALL = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class NodeFailedError(Exception):
    """The process ended, or was not ready in time. Carries the end of its log."""


def free_port() -> int:
    """A port that nobody listens on, below those that the system lends to clients.

    A server that is killed and started again on its port must not find a client's connection there. Processes
    that run tests beside each other have ports of their own: no other takes it before the server does.
    """
    beside = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    first = 15_000 + 2_000 * beside
    for port in random.sample(range(first, first + 2_000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise NodeFailedError("no free port found")


class KafkaNode:
    """A Kafka process with its data directory. Restarting keeps data and ports."""

    def __init__(
        self, directory: Path, properties: Mapping[str, str], *, jvm_options: tuple[str, ...] = _SMALL
    ) -> None:
        self.directory = directory
        self.log = directory / "server.log"
        self._properties = directory / "server.properties"
        self._jvm_options = jvm_options
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False
        directory.mkdir(parents=True, exist_ok=True)
        settings = {**properties, "log.dirs": str(directory / "data")}
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def format(self, cluster_id: str, *options: str) -> None:
        """Prepare the data directory, once."""
        command = [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster_id,
            "-c",
            str(self._properties),
            *options,
        ]
        result = subprocess.run(
            [java(), *_SMALL, *_cached(), "-cp", class_path(), *command],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise NodeFailedError(result.stdout + result.stderr)

    @property
    def formatted(self) -> bool:
        return (self.directory / "data" / "meta.properties").exists()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def launch(self, *, aot_output: Path | None = None) -> None:
        """Start the process without waiting. At its orderly end it writes ``aot_output``."""
        options = _cached() if aot_output is None else (*_CLASSES_ALONE, f"-XX:AOTCacheOutput={aot_output}")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [java(), *self._jvm_options, *options, "-cp", class_path(), "kafka.Kafka", self._properties],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._frozen = False

    def wait_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _READY_SECONDS
        while _READY_LINE not in (text := self.log.read_text(errors="replace")):
            if time.monotonic() > deadline:
                raise NodeFailedError(f"not ready in {_READY_SECONDS} s\n{text[-4000:]}")
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise NodeFailedError(self.log.read_text(errors="replace")[-4000:])

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._frozen = False

    def kill(self) -> None:
        """SIGKILL, also while frozen."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._frozen = False

    def stop(self, patience: float = 15) -> None:
        """An orderly end; killed when that takes long."""
        if self._process is None:
            return
        if self._frozen:
            self.thaw()
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def restore(self) -> None:
        """Running and thawed again, whatever was done to it."""
        if self._frozen:
            self.thaw()
        if self._process is None or self._process.poll() is not None:
            self.launch()
        try:
            self.wait_ready()
        except NodeFailedError:
            self.kill()
            self.launch()
            self.wait_ready()


def _cached() -> tuple[str, ...]:
    return (*_CLASSES_ALONE, f"-XX:AOTCache={AOT_CACHE}") if AOT_CACHE.exists() else ()
