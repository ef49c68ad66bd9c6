"""``binmirror demo``: the whole way of a delivery, on this machine, with commands that users type."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import httpx
import typer
from rich.console import Console

from consumer.cli.common import DONE, FOUND, console, leave, notice, print_table
from consumer.cli.events import show_events
from consumer.cli.send import deliver
from consumer.cli.status import show_status
from consumer.clock import SystemClock
from consumer.projection.base import EventQuery
from consumer.settings import clean_environment, isolated_settings
from schemas.samples import voucher_deleted

_SECRET: Final = "demo-webhook-secret"  # noqa: S105 - of a service that lives for seconds, on this machine alone
_APP: Final = {"X-App-Id": "demo-app", "X-App-Token": "demo-token"}
_START_SECONDS: Final = 30.0
_APPLY_SECONDS: Final = 20.0
_WANTED_EVENTS: Final = 3
"""Events that the demo's deliveries make: a voucher, a campaign, a senseless one."""
_NEXT: Final = """
That was all of it. For your own Voucherify project:
  1. [bold]binmirror init[/]    writes .env, with credentials for the bin API; it asks for your webhook secret
  2. [bold]binmirror serve[/]   starts the service on http://127.0.0.1:8080
  3. In Voucherify, Project settings, Webhooks, enter https://YOUR-HOST/webhooks/voucherify
     and choose the events voucher.deleted and campaign.deleted.
(From a checkout the command is .venv/bin/binmirror.)"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo_command)


def demo_command() -> None:
    """Show the whole way of a delivery on this machine: a service of its own, in a temporary folder.

    Nothing is left behind, and nothing of yours is touched: `binmirror demo`
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="binmirror-demo-") as name:
        Demo(Path(name), console()).run()
    console().print(f"\n[dim]Took {time.monotonic() - started:.1f} s.[/]{_NEXT}")


class Demo:
    """The steps, in a folder of their own."""

    def __init__(self, folder: Path, out: Console) -> None:
        self._folder = folder
        self._out = out
        self._values = {
            "event_log": f"sqlite:///{folder}/log.db",
            "projection": f"sqlite:///{folder}/bin.db",
            "webhook_secrets": _SECRET,
            "api_app_id": _APP["X-App-Id"],
            "api_app_token": _APP["X-App-Token"],
            "log_format": "json",
        }
        self._settings = isolated_settings(**self._values)

    def run(self) -> None:
        self._out.print(f"Starting a service on SQLite in {self._folder} …")
        with self._service() as port:
            url = f"http://127.0.0.1:{port}"
            self._settings = isolated_settings(**self._values, port=port)
            self._out.print(f"It listens on {url}.")
            self._deliver()
            self._step("The bin", "curl …/v1/trash-bin")
            columns = ("id", "resource_type", "resource_name", "resource_id", "created_at")
            print_table(columns, [[entry[name] for name in columns] for entry in self._entries(url)])
            self._step("What could not be applied, and why", "binmirror events list --status failed")
            self._expect(DONE, show_events(self._settings, EventQuery(status="failed")))
            self._step("How the service is", "binmirror status")
            self._expect(FOUND, show_status(self._settings))

    def _deliver(self) -> None:
        body = self._folder / "voucher.json"
        body.write_bytes(voucher_deleted(code="SUMMER-2026", occurred_at=SystemClock().now()))
        nonsense = self._folder / "nonsense.json"
        nonsense.write_text('{"hello": "voucherify"}', encoding="utf-8")
        self._step("A voucher was deleted: accepted once it is on disk", "binmirror send voucher.json")
        self._expect(DONE, deliver(self._settings, str(body)))
        self._step(
            "The same once more, as after a timeout: accepted, counted once", "binmirror send voucher.json"
        )
        self._expect(DONE, deliver(self._settings, str(body)))
        self._step("A campaign was deleted", "binmirror send campaign.deleted")
        self._expect(DONE, deliver(self._settings, "campaign.deleted"))
        self._step(
            "Forged, signed with another secret: refused", "binmirror send voucher.json --secret guessed"
        )
        self._expect(FOUND, deliver(self._settings, str(body), secret="guessed"))  # noqa: S106 - a wrong one
        self._step(
            "Signed but senseless: accepted and kept as a failed event", "binmirror send nonsense.json"
        )
        self._expect(DONE, deliver(self._settings, str(nonsense)))

    def _step(self, title: str, command: str) -> None:
        self._out.print(f"\n[bold]{title}[/]\n[dim]$ {command}[/]")

    def _expect(self, expected: int, code: int) -> None:
        if code != expected:
            notice(f"binmirror: the demo failed: exit code {code} where {expected} was expected")
            leave(code or FOUND)

    @contextlib.contextmanager
    def _service(self) -> Iterator[int]:
        """A service as a process; yields its port, ends it with SIGTERM."""
        path = self._folder / "serve.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "consumer", "serve", "--port", "0"],
                env=clean_environment({name.upper(): value for name, value in self._values.items()}),
                cwd=self._folder,
                stderr=log,
            )
        try:
            yield _port(process, path)
        finally:
            process.terminate()
            process.wait(timeout=_START_SECONDS)

    def _entries(self, url: str) -> list[Mapping[str, str]]:
        """The bin, once everything that was sent has been applied."""
        deadline = time.monotonic() + _APPLY_SECONDS
        with httpx.Client(base_url=url, headers=_APP) as client:
            while True:
                page = client.get("/v1/trash-bin", params={"limit": 100}).json()
                metrics = client.get("/metrics").text
                if _handled(metrics) > _WANTED_EVENTS:
                    return list(page["data"])
                if time.monotonic() > deadline:
                    notice(f"binmirror: the demo failed: not all was applied within {_APPLY_SECONDS:g} s")
                    leave(FOUND)
                time.sleep(0.05)


def _handled(metrics: str) -> float:
    """Records that the worker has handled, duplicates included."""
    return sum(
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("binmirror_events_total{")
    )


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port that the service says it listens on."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_bytes().splitlines():
            if b'"action":"started"' in line:
                return int(json.loads(line)["port"])
        time.sleep(0.05)
    reason = log.read_text(errors="replace").strip()
    notice(f"binmirror: the demo failed: the service did not start: {reason}")
    return leave(FOUND)
