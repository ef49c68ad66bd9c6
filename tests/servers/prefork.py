"""Starts commands of binmirror as processes that have their imports behind them.

A command imports for a second before it does anything, and the tests start hundreds of them. One process here
imports everything once and forks for each command: a process like any other, with its own memory, signals and
death. Tests of a command's very start run ``python -m consumer``.
"""

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parents[2]
_BUFFER: Final = 65_536


class ForkServer:
    """A process of ``prefork_process`` and the socket to it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.servers.prefork_process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=_ROOT,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.close)

    def ask(self, fds: Sequence[int] = (), **request: Any) -> Any:
        """One request, one answer."""
        with self._lock:
            socket.send_fds(self._socket, [b"."], fds) if fds else self._socket.sendall(b",")
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                part = self._socket.recv(_BUFFER)
                assert part, "the process that forks has died"
                answer += part
        return json.loads(answer)

    def close(self) -> None:
        """It ends when nobody is left to ask; what it has forked lives on."""
        self._socket.close()
        self._process.wait(10)


@functools.cache
def _fork_server() -> ForkServer:
    return ForkServer()


class Forked:
    """A forked command, as ``subprocess.Popen`` would show it."""

    def __init__(
        self, arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdout: int, stderr: int
    ) -> None:
        self._server = _fork_server()
        self.returncode: int | None = None
        self.pid: int = self._server.ask(
            [stdout, stderr], do="fork", arguments=list(arguments), env=dict(env), cwd=str(cwd)
        )

    def poll(self) -> int | None:
        """The exit code once it has ended: negative for a signal."""
        if self.returncode is None:
            self.returncode = self._server.ask(do="poll", pid=self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("binmirror", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing happens to one that has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def run(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Forked(arguments, env=env, cwd=cwd, stdout=out.fileno(), stderr=err.fileno())
        try:
            code = process.wait(timeout)
        finally:
            process.send_signal(signal.SIGKILL)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode())
        return subprocess.CompletedProcess(["binmirror", *arguments], code, *texts)
