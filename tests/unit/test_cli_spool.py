"""``binmirror spool``: what was set aside is shown and tried again; bad input, exit codes."""

import json
from pathlib import Path
from typing import Final

import pytest

from consumer.clock import SystemClock
from consumer.eventlog.packing import pack_headers
from consumer.eventlog.spool_file import SpoolFile, SpoolRow, read_counts
from tests.unit.test_cli import Run, run

__all__ = ["run"]  # a fixture

HEADERS: Final = (("ce_id", b"ev_1"), ("ce_type", b"voucher.deleted"), ("project", b"shop [1]\x1b"))


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """A spool that holds two records set aside."""
    file = SpoolFile(tmp_path / "spool.db", busy=1, clock=SystemClock())
    packed = pack_headers(HEADERS)
    file.keep([SpoolRow("set_aside", 3, 0, "too large", b"k", packed, b"body") for _ in range(2)])
    file.close()
    return {"EVENT_LOG": "kafka://127.0.0.1:1/t", "SPOOL": str(tmp_path / "spool.db")}


def test_lists(run: Run, settings: dict[str, str]) -> None:
    """What was set aside is found, with the reason, for people and for machines."""
    result = run("spool", "list", **settings)
    assert (result.code, result.out.count("too large")) == (1, 2)
    assert "shop [1]\ufffd" in result.out
    first, second = map(json.loads, run("spool", "list", "--json", **settings).out.splitlines())
    assert first == {
        "id": 1,
        "spooled_at": "1970-01-01T00:00:00.000Z",
        "partition": 3,
        "project": "shop [1]\x1b",
        "event_id": "ev_1",
        "type": "voucher.deleted",
        "bytes": 4,
        "reason": "too large",
    }
    assert second["id"] == 2


def test_tries_again(run: Run, settings: dict[str, str]) -> None:
    """One, some that are not there, or all wait for Kafka again."""
    assert run("spool", "retry", "1", **settings).code == 0
    assert run("spool", "retry", "1", "2", **settings).out.startswith("1 of 2 ")
    counts = read_counts(Path(settings["SPOOL"]))
    assert counts == ({3: 2}, 0)
    assert run("spool", "retry", "--all", **settings).code == 0
    nothing = run("spool", "list", **settings)
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "Nothing was set aside.\n")


@pytest.mark.parametrize("arguments", [(), ("--all", "1"), ("one",)], ids=str)
def test_wrong_usage(run: Run, settings: dict[str, str], arguments: tuple[str, ...]) -> None:
    """Neither ids nor all, both, or what is no id: nothing is done."""
    result = run("spool", "retry", *arguments, **settings)
    assert (result.code, result.out) == (2, "")


def test_without_a_spool(run: Run, settings: dict[str, str], tmp_path: Path) -> None:
    """A log in SQLite has none, and a receiver that never ran has made none: said in one line."""
    result = run("spool", "list", **{**settings, "EVENT_LOG": f"sqlite:///{tmp_path}/log.db"})
    assert (result.code, result.out) == (2, "")
    assert "only before Kafka" in result.err
    result = run("spool", "retry", "--all", **{**settings, "SPOOL": str(tmp_path / "other.db")})
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert not (tmp_path / "other.db").exists()
