"""``binmirror reconcile``: exit codes and words. It runs on a loop of its own, so these tests have none."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer.ops.reconcile_report import Progress
from tests.fake_voucherify import faults
from tests.fake_voucherify.app import APP_ID, APP_TOKEN, FakeVoucherify
from tests.fake_voucherify.server import Slot, serving
from tests.reconcile.kit import entry
from tests.unit.test_cli import Run, run

__all__ = ["run"]


@pytest.fixture
def slot() -> Slot:
    return Slot(FakeVoucherify())


@pytest.fixture
def access(slot: Slot) -> Iterator[dict[str, str]]:
    """Settings that lead to the fake."""
    with serving(slot) as url:
        yield {"VOUCHERIFY_URL": url, "VOUCHERIFY_APP_ID": APP_ID, "VOUCHERIFY_APP_TOKEN": APP_TOKEN}


def test_drift_is_told(run: Run, slot: Slot, access: dict[str, str]) -> None:
    """--report ends with 1 when the mirror is wrong; --json is one document on standard output."""
    slot.fake.bin.add(entry(1), entry(2, "sku"))
    result = run("reconcile", "--report", "--json", **access)
    assert result.code == 1
    (report,) = json.loads(result.out)
    assert (report["project"], report["mode"], report["drift"], report["lacking"]) == (
        "default",
        "report",
        2,
        2,
    )
    assert "tells of no rate limit" in result.err
    shown = run("reconcile", "--report", **access)
    assert "lacking here" in shown.out


def test_nothing_to_find(run: Run, access: dict[str, str]) -> None:
    """An empty bin and an empty mirror agree."""
    result = run("reconcile", "--report", **access)
    assert (result.code, result.err.count("\n")) == (0, 1)


def test_without_credentials(run: Run) -> None:
    """Without credentials for Voucherify there is nothing to reconcile with: wrong usage, in one line."""
    result = run("reconcile")
    assert result.code == 2
    assert "BINMIRROR_VOUCHERIFY_URL=us1.api" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--force",), "--force only goes with --full"),
        (("--report", "--full"), "leave --full out"),
        (("--project", "shop"), "no such project; configured: default"),
    ],
)
def test_wrong_usage(run: Run, access: dict[str, str], arguments: tuple[str, ...], words: str) -> None:
    """Options that contradict each other, or name nothing, are refused before anything is asked."""
    result = run("reconcile", *arguments, **access)
    assert result.code == 2
    assert words in " ".join(result.err.split())


def test_refused_credentials(run: Run, slot: Slot, access: dict[str, str]) -> None:
    """401 is a wrong setting, and never an empty bin; nothing secret is shown."""
    slot.fake.bin.add(entry(1))
    result = run("reconcile", "--full", **{**access, "VOUCHERIFY_APP_TOKEN": "another-token"})
    assert result.code == 2
    assert "VOUCHERIFY_APP_TOKEN" in result.err
    assert "another-token" not in result.err + result.out


def test_nonsense_from_voucherify(run: Run, slot: Slot, access: dict[str, str]) -> None:
    """HTML instead of a listing ends with 1 and says what to look at."""
    slot.fake.script(faults.html(), times=None)
    result = run("reconcile", "--full", **access)
    assert result.code == 1
    assert "HTML instead of JSON" in result.err


def test_a_server_away(run: Run, tmp_path: Path, access: dict[str, str]) -> None:
    """A projection that does not answer ends with 3."""
    missing = f"postgresql:///bin?host={tmp_path}"
    result = run("reconcile", "--full", PROJECTION=missing, **access)
    assert result.code == 3


def test_status_tells_of_it(run: Run, slot: Slot, access: dict[str, str]) -> None:
    """Status has a line for each project whose bin can be read, and why its last run was not completed."""
    slot.fake.script(faults.status(403), times=None)
    assert run("reconcile", "--full", **access).code == 2
    status = run("status", **access)
    assert "Voucherify's bin last read whole" in status.out
    assert "vouchers.read" in status.out
    machine = json.loads(run("status", "--json", **access).out)
    assert "vouchers.read" in machine["reconciliation"][0]["failure"]


def test_the_forecast(run: Run, slot: Slot, access: dict[str, str]) -> None:
    """First it says what the rate limit allows; once everything was read before, how long that takes."""
    slot.fake.bin.add(entry(1))
    slot.fake.script(_limited, times=None)
    first = run("reconcile", "--full", **access)
    assert "lets 600,000 entries an hour be read; how many there are to read is not known yet" in first.err
    second = run("reconcile", "--report", **access)
    assert "lets 600,000 entries an hour be read: about " in second.err


def test_progress_beyond_what_was_expected() -> None:
    """A bin that has grown since the last reading: no time left is made up."""
    progress = Progress("p", "full", "reading", 50, 100, 50, 2.0, None)
    assert (progress.total, progress.seconds_left) == (100, 2.0)
    more = progress._replace(read=150, read_now=150)
    assert (more.total, more.seconds_left, more.rate) == (None, None, 75.0)


def _limited(_asked: object, usual: object) -> faults.Reply:
    assert callable(usual)
    reply: faults.Reply = usual()
    return reply._replace(headers={"X-Rate-Limit-Limit": "100", "X-Rate-Limit-Remaining": "99"})
