"""What the numbers depend on: cores, what else runs, the revision measured; and what a process used."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent


def cores() -> tuple[int, int]:
    """One for the server, another for everything else; the same one where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Everything started inside runs on ``core``; so does the caller, meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """What the process has used, in user and system mode."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def resident_mb(pid: int) -> float:
    """Memory of the process, in units of a million bytes."""
    return float(psutil.Process(pid).memory_info().rss) / 1_000_000


def load_average() -> float:
    """Of the last minute; the benchmark itself makes it about 2."""
    return os.getloadavg()[0]


def revision() -> str:
    """The commit measured, marked when files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
