"""The benchmarks run: tiny ones, whose numbers mean nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        (("receiver", "--turns", "1", "--seconds", "0.2"), ("receiver, sqlite", "bare application, sqlite")),
        (("worker", "--events", "5000"), ("worker, sqlite into sqlite",)),
        (("projection", "--events", "2000"), ("projection, sqlite",)),
        (("floor", "--events", "2000"), ("statements alone, sqlite",)),
        (
            ("listing", "--entries", "3000", "--word", "resource_name"),
            ("is resource_name", "in resource_name"),
        ),
        (
            ("lookups", "--entries", "2000", "--seconds", "0.2", "--turns", "1"),
            ("lookups, sqlite", "1,000 codes a call, sqlite"),
        ),
        (("latency", "--rate", "50", "--seconds", "1"), ("all in one, from answer to listed",)),
        (("authenticate", "--seconds", "0.1"), ("a created key", "an access token")),
        pytest.param(
            ("topic", "--rate", "50", "--seconds", "1", "--entries", "3000"),
            ("all in one, from answer to a subscriber", "3,000 entries published, again"),
            marks=pytest.mark.kafka,
        ),
        (
            ("changes", "--rate", "50", "--seconds", "1", "--readers", "20"),
            ("stream of changes, from answer to told", "20 idle streams, added"),
        ),
        (("memory", "--events", "200"), ("all in one, idle", "all in one, after 200 events")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_runs(command: tuple[str, ...], rows: tuple[str, ...]) -> None:
    """A benchmark prints its rows, and what the numbers depend on."""
    name, *options = command
    arguments = [sys.executable, "-m", f"benchmarks.{name}", *options]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    for row in (*rows, "revision", "load average"):
        assert row in done.stdout


def test_all_of_them_have_a_command() -> None:
    """All benchmarks together are one command, which can be told to hurry."""
    arguments = [sys.executable, "-m", "benchmarks", "--help"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert "--quick" in done.stdout
