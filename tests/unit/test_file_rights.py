"""Who may read what lies on the disk."""

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from consumer.clock import SystemClock
from consumer.eventlog.spool_file import SpoolFile
from consumer.eventlog.sqlite_log import LogWriter
from consumer.projection.engines import open_engine
from consumer.projection.migrate import migrate


@pytest.fixture
def open_to_all(tmp_path: Path) -> Iterator[Path]:
    """A folder that everybody may read."""
    tmp_path.chmod(0o755)
    yield tmp_path
    tmp_path.chmod(0o700)


def test_files_are_their_owners(open_to_all: Path) -> None:
    """Log, spool and projection are for their owner alone, and so is what SQLite puts beside them."""
    migrate(f"sqlite:///{open_to_all}/bin.db")
    projection = open_engine(f"sqlite:///{open_to_all}/bin.db", "write")
    log = LogWriter(open_to_all / "log.db", busy=1, clock=SystemClock())
    spool = SpoolFile(open_to_all / "spool.db", busy=1, clock=SystemClock())
    with projection.transaction(), closing(log), closing(spool):
        log.probe()
        spool.probe()
        rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in open_to_all.iterdir()}
    projection.engine.dispose()
    names = {f"{name}.db{end}" for name in ("bin", "log", "spool") for end in ("", "-wal", "-shm")}
    assert rights == dict.fromkeys(names, 0o600)


def test_rights_that_were_given_stay(open_to_all: Path) -> None:
    """A file that is there keeps the rights that somebody gave it."""
    path = open_to_all / "bin.db"
    path.touch(0o640)
    path.chmod(0o640)
    migrate(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
