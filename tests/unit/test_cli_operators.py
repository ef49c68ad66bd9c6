"""The operators' commands on a real log and projection: counting first, asking, bad input, exit codes."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import copy
from typing import Any, Final

import pytest

from consumer.clock import SystemClock
from consumer.eventlog.sqlite import SqliteReader
from consumer.projection.connections import OwnConnection
from consumer.projection.control import SqlAudit
from consumer.projection.control_base import AuditLine
from consumer.settings import clean_environment
from consumer.worker.limits import HandlerLimit
from tests.unit.test_cli import Result, Run, run
from tests.worker_kit import Handlers, Mirror, eventually

__all__ = ["run"]  # a fixture

WRONG: Final[list[tuple[str, ...]]] = [
    ("events", "redrive", "--since", "yesterday"),
    ("events", "redrive", "--since", "2026-05-07T09:15:00+25:00"),
    ("events", "redrive", "--until", "2026-05-07T09:15:00 Europe/Berlin"),
    ("events", "redrive", "--since", "2026-05-08", "--until", "2026-05-07"),
    ("events", "list", "--since", "2026-05-07T02:00+02:00", "--until", "2026-05-07"),
    ("events", "redrive", "--status", "applied"),
    ("events", "redrive", "e1", "--type", "voucher.deleted"),
    ("events", "redrive", "--reason", "x" * 600),
    ("events", "discard", "e1"),
    ("events", "discard", "e1", "--reason", ""),
    ("worker", "pause", "--reason", "x" * 600),
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log and projection with three failed events and an applied one."""
    made = tmp_path_factory.mktemp("filled")

    async def fill() -> None:
        handlers = Handlers(broken=True)
        limit = HandlerLimit(consecutive=10_000)
        async with Mirror(made, f"sqlite:///{made}/bin.db", handlers=handlers, limit=limit) as mirror:
            await mirror.delete_vouchers(3)
            await eventually(lambda: has(mirror, 3))
            handlers.broken = False
            await mirror.delete_vouchers(1, start=9)
            await eventually(lambda: has(mirror, 4))

    asyncio.run(fill())
    return made


@pytest.fixture
def folder(tmp_path: Path, filled: Path) -> Path:
    """Where log and projection are; no worker works."""
    for file in filled.iterdir():
        copy(file, tmp_path)
    return tmp_path


async def has(mirror: Mirror, number: int) -> bool:
    return sum((await mirror.statuses()).values()) == number


def on(folder: Path) -> dict[str, str]:
    return {"EVENT_LOG": f"sqlite:///{folder}/log.db", "PROJECTION": f"sqlite:///{folder}/bin.db"}


def as_json(result: Result) -> Any:
    return json.loads(result.out)


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_usage(run: Run, folder: Path, arguments: tuple[str, ...]) -> None:
    """A wrong time, zone, range, status or reason is refused with a line that says so; nothing changes."""
    result = run(*arguments, **on(folder))
    assert (result.code, result.out) == (2, "")
    assert "Error" in result.err


def test_dry_run_counts(run: Run, folder: Path) -> None:
    """A dry run says what it would be done to, by status and code, and does nothing."""
    result = run("events", "redrive", "--failure-code", "handler_error", "--dry-run", **on(folder))
    assert (result.code, result.out.split()) == (
        0,
        ["status", "failure", "code", "events", "failed", "handler_error", "3"],
    )
    assert "3 events would be redriven; nothing was changed." in result.err
    found = run("events", "discard", "evvou_1", "evvou_9", "no", "--dry-run", "--json", **on(folder))
    assert (found.code, as_json(found)) == (
        1,
        {
            "action": "discard",
            "eligible": 1,
            "matching": [
                {"status": "applied", "failure_code": None, "count": 1},
                {"status": "failed", "failure_code": "handler_error", "count": 1},
            ],
            "unknown": ["no"],
        },
    )
    assert "nothing keeps" in run("worker", "status", **on(folder)).out.lower()


def test_everything_needs_a_yes(run: Run, folder: Path) -> None:
    """Without a terminal to ask on, a command for everything that failed wants --yes; so do filters that let
    everything through.
    """
    result = run("events", "discard", "--reason", "why", **on(folder))
    assert result.code == 2
    assert "This matches all 3 events that can be discarded. Narrow it down, or say --yes." in result.err
    for broad in (("--text", ""), ("--project", "p"), ("--project", "p", "--text", "")):
        assert run("events", "redrive", *broad, **on(folder)).code == 2
    assert len(as_json(run("events", "list", "--status", "failed", "--json", **on(folder)))) == 3


def test_nothing_to_do(run: Run, folder: Path) -> None:
    """Filters that nothing matches: done. Ids that cannot be redriven: told so."""
    nothing = run("events", "redrive", "--type", "no.such", **on(folder))
    assert (nothing.code, nothing.out) == (0, "")
    assert "0 events would be redriven" in nothing.err
    unknown = run("events", "redrive", "no\x1b[31m", **on(folder))
    assert unknown.code == 1
    assert "there is no event no�[31m" in unknown.err
    assert run("events", "redrive", "evvou_9", **on(folder)).code == 1


def test_without_a_projection(run: Run, tmp_path: Path) -> None:
    """Looking for events where there are none yet makes no database."""
    result = run("events", "redrive", "--yes", **on(tmp_path))
    assert result.code == 1
    assert "the worker makes it when it starts" in result.err
    assert list(tmp_path.iterdir()) == []


def test_projection_away(run: Run, folder: Path) -> None:
    """A database that does not answer: exit 3."""
    away = {**on(folder), "PROJECTION": "postgresql://nobody@127.0.0.1:9/none"}
    assert run("events", "redrive", "e1", **away).code == 3
    assert run("worker", "pause", **away).code == 3


def test_pause_and_resume(run: Run, folder: Path) -> None:
    """The order is shown with who gave it and why, in status too, until somebody resumes."""
    paused = run("worker", "pause", "--reason", "moving [house]", **on(folder))
    assert paused.code == 0
    assert paused.out.endswith(": moving [house]\n")
    again = run("worker", "pause", "--json", **on(folder))
    assert (as_json(again)["changed"], as_json(again)["paused"]["reason"]) == (False, "moving [house]")
    assert run("worker", "status", **on(folder)).code == 1
    status = run("status", "--json", **on(folder))
    assert status.code == 1
    assert as_json(status)["stopped"]["worker"].endswith("moving [house]")
    resumed = run("worker", "resume", **on(folder))
    assert resumed.code == 0
    assert "It was paused since" in resumed.out
    assert run("worker", "resume", **on(folder)).code == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(folder: Path, number: signal.Signals) -> None:
    """Ended while no worker works: what was told stays told, the audit says so, and how to go on is said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "consumer", "events", "redrive", "--yes"],
        env=clean_environment(on(folder)),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert asyncio.run(told(folder)) == 3
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    # The log may have them a moment before the command knows.
    assert re.search(r"Interrupted\. [03] events were told of, and will be redriven; the same command", err)
    (line,) = asyncio.run(audit_of(folder))
    assert (line.result, line.counts["eligible"]) == ("interrupted", 3)


async def told(folder: Path) -> int:
    """Wait until the decisions are in the log; how many."""
    reader = SqliteReader(folder / "log.db", clock=SystemClock())
    await reader.start()

    async def some() -> bool:
        return (await reader.bounds())[0].end == 7

    await eventually(some)
    decisions = (await reader.bounds())[0].end - 4
    await reader.stop()
    return decisions


async def audit_of(folder: Path) -> Sequence[AuditLine]:
    connection = OwnConnection(on(folder)["PROJECTION"])
    lines = await SqlAudit(connection).lines()
    await connection.stop()
    return lines


def test_show_names_what_the_dashboard_names(run: Run, folder: Path) -> None:
    """An event is shown with type, times, log id, channel, body, and with its failure and attempts."""
    shown = run("events", "show", "evvou_1", **on(folder))
    assert shown.code == 0
    for words in (
        "voucher.deleted",
        "log id",
        "channel",
        "USER_PORTAL",
        "handler_error",
        "attempts",
        '"code"',
    ):
        assert words in shown.out
    assert as_json(run("events", "show", "evvou_1", "--json", **on(folder)))["decisions"] == []
