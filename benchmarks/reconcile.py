"""How fast reconciling is, and how much memory it takes: ``python -m benchmarks.reconcile``.

Everything is real and in processes of its own, as in use: a fake Voucherify over HTTP, a service that works
off the log, and the command. The first pass loads everything, the second finds nothing to do.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from consumer.settings import clean_environment
from tests.fake_voucherify.app import APP_ID, APP_TOKEN
from tests.servers.kafka_node import free_port


@contextlib.contextmanager
def running(*command: str, env: dict[str, str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("wb") as file:
        process = subprocess.Popen([sys.executable, *command], env=env, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def first_line(output: Path) -> str:
    while not output.read_text().endswith("\n"):
        time.sleep(0.05)
    return output.read_text().strip()


def measured(*command: str, env: dict[str, str]) -> None:
    """Run the command; say its report, its time and its greatest memory."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "consumer", *command, "--json"], env=env, stdout=subprocess.PIPE
    )
    largest, busy = 0, 0.0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            largest = max(largest, watched.memory_info().rss)
            busy = sum(watched.cpu_times()[:2])
        time.sleep(0.1)
    assert process.stdout is not None
    (report,) = json.loads(process.stdout.read())
    print(
        f"{' '.join(command):18} {report['read']:9,} entries in {report['seconds']:6.1f} s "
        f"({time.monotonic() - started:.1f} s with its start): {report['read'] / report['seconds']:7,.0f}/s, "
        f"{largest / 2**20:.0f} MiB, {busy:.0f} s of CPU; drift {report['drift']:,}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of a full reconcile run")
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        fake = ("-m", "tests.fake_voucherify", "--entries", str(options.entries))
        stack.enter_context(running(*fake, env=dict(os.environ), output=folder / "fake"))
        env = clean_environment(
            {
                "EVENT_LOG": f"sqlite:///{folder}/log.db",
                "PROJECTION": f"sqlite:///{folder}/bin.db",
                "PORT": str(free_port()),
                "VOUCHERIFY_URL": first_line(folder / "fake"),
                "VOUCHERIFY_APP_ID": APP_ID,
                "VOUCHERIFY_APP_TOKEN": APP_TOKEN,
                "RECONCILE_EVERY": "0",
                "RECONCILE_FULL_EVERY": "0",
            }
        )
        worker = ("-m", "consumer", "serve", "--role", "worker")
        stack.enter_context(running(*worker, env=env, output=folder / "worker"))
        measured("reconcile", "--full", env=env)
        measured("reconcile", "--full", env=env)
        measured("reconcile", "--report", env=env)


if __name__ == "__main__":
    main()
