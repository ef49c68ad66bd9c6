"""The SQLite log in several processes, and in one that is killed."""

import asyncio
import sys
from contextlib import closing
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite

from tests.conformance.log_harness import PATIENCE, numbered
from tests.conformance.test_eventlog_sqlite import SqliteHarness

APPENDS = """
import asyncio, sys
from pathlib import Path
from tests.conformance.log_harness import append_all, numbered
from tests.conformance.test_eventlog_sqlite import SqliteHarness
async def main(folder, first, count):
    async with SqliteHarness(Path(folder)).producing() as producer:
        for n in range(int(first), int(first) + int(count), 10):
            await append_all(producer, map(numbered, range(n, n + 10)))
            print(n + 10, flush=True)
asyncio.run(main(*sys.argv[1:]))
"""


async def _appending(folder: Path, first: int, count: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", APPENDS, str(folder), str(first), str(count), stdout=asyncio.subprocess.PIPE
    )


def _stored(path: Path) -> list[bytes]:
    with closing(sqlite.connect(str(path))) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM records ORDER BY id")]


async def test_many_processes_make_one_log(tmp_path: Path) -> None:
    """Processes that start at once agree on one log and lose nothing."""
    processes = [await _appending(tmp_path, first, 200) for first in (0, 1000, 2000)]
    async with asyncio.timeout(PATIENCE):
        for process in processes:
            await process.communicate()
            assert process.returncode == 0
    stored = _stored(tmp_path / "log.db")
    assert len(stored) == 600
    assert set(stored) == {numbered(first + n).value for first in (0, 1000, 2000) for n in range(200)}


async def test_killed_while_appending(tmp_path: Path) -> None:
    """What was acknowledged before kill -9 is in the log, readable at once, and the log goes on."""
    log = SqliteHarness(tmp_path)
    process = await _appending(tmp_path, 0, 1_000_000)
    assert process.stdout is not None
    acknowledged = 0
    async with asyncio.timeout(PATIENCE):
        while acknowledged < 500:
            acknowledged = int(await process.stdout.readline())
        process.kill()
        acknowledged = max(acknowledged, 0, *map(int, (await process.stdout.read()).split()))
        await process.wait()
    async with log.reading() as reader:
        assert (await reader.bounds())[0].end >= acknowledged
    async with log.producing() as producer:
        await producer.append(numbered(-1))
    stored = _stored(log.path)
    assert stored[:acknowledged] == [numbered(n).value for n in range(acknowledged)]
    assert stored[-1] == numbered(-1).value
