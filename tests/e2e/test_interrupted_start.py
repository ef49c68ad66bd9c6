"""Ctrl-C in the first second of a command, while it imports what it is made of and until it runs."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import PATIENCE, clean_env

HELD = """
import os, runpy, sys
event, what = sys.argv[1:3]
def hold(name, arguments):
    if name == event and what in ("", arguments[0]):
        os.write(1, b"here\\n")
        os.read(0, 1)
sys.argv = ["binmirror", *sys.argv[3:]]
sys.addaudithook(hold)
runpy.run_module("consumer", run_name="__main__", alter_sys=True)
"""
"""``python -m consumer``, held up where Python tells its audit hooks of something."""


SETTINGS = {
    "BINMIRROR_WEBHOOK_SECRETS": "s",
    "BINMIRROR_API_APP_ID": "a",
    "BINMIRROR_API_APP_TOKEN": "t",
}


@pytest.mark.parametrize(
    ("event", "what", "arguments"),
    [
        ("import", "typer", ["status"]),
        ("import", "sqlalchemy", ["status"]),
        ("import", "consumer.cli.demo", ["--help"]),
        ("socket.bind", "", ["serve"]),
    ],
)
def test_interrupted_at_its_start(event: str, what: str, arguments: list[str], tmp_path: Path) -> None:
    """It ends at once with exit code 130 and says nothing, however far it had come."""
    with subprocess.Popen(
        [sys.executable, "-c", HELD, event, what, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**clean_env(), **SETTINGS},
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGINT)
        assert (process.stdout.read(), process.stderr.read()) == (b"", b"")
        assert process.wait(PATIENCE) == 130
