"""A spool that several processes share, and processes that are killed at it."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.unit.spoolkit import PATIENCE, Machine, keep_all, record, until


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


PROCESS = """
import asyncio, sys
from pathlib import Path
from tests.unit.spoolkit import Machine, partition_of, record
async def relay(machine):
    async with machine.open_spool() as spool, machine.open_log() as log:
        async with machine.relaying(spool, log):
            print(spool.pending(), flush=True)
            await asyncio.Event().wait()
async def keep(machine, first, count):
    async with machine.open_spool() as spool:
        for number in range(first, first + count, 10):
            await asyncio.gather(*(
                spool.append(one, partition=partition_of(one.key), reason="away")
                for one in map(record, range(number, number + 10))
            ))
            print(number, flush=True)
task, folder, *numbers = sys.argv[1:]
asyncio.run(globals()[task](Machine(Path(folder)), *map(int, numbers)))
"""


async def start(machine: Machine, *task: str) -> asyncio.subprocess.Process:
    name, *rest = task
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, name, str(machine.folder), *rest, stdout=asyncio.subprocess.PIPE
    )


async def test_relay_killed(machine: Machine) -> None:
    """Processes that relay are killed again and again; what was spooled reaches the log all the same."""
    records = [record(number) for number in range(6000)]
    async with machine.open_spool() as spool:
        for at in range(0, len(records), 2000):
            await keep_all(spool, records[at : at + 2000])
            before = spool.pending()
            process = await start(machine, "relay")
            await until(lambda: spool.pending() < before)  # noqa: B023 - awaited within the turn
            process.kill()
            await process.communicate()
        async with machine.open_log() as log, machine.relaying(spool, log):
            await until(lambda: spool.pending() == 0)
    assert set(machine.in_log()) == set(records)


async def test_process_killed_while_spooling(machine: Machine) -> None:
    """Two processes share a spool, one is killed: all that either acknowledged is there."""
    killed = await start(machine, "keep", "100000", "1000000")
    whole = await start(machine, "keep", "0", "2000")
    assert killed.stdout is not None
    acknowledged = 0
    async with asyncio.timeout(PATIENCE):
        while acknowledged < 100_500:
            acknowledged = int(await killed.stdout.readline())
        killed.kill()
        await killed.communicate()
        await whole.communicate()
    found = set(machine.in_spool())
    assert found >= {record(number) for number in range(2000)}
    assert found >= {record(number) for number in range(100_000, acknowledged + 10)}
    async with machine.open_spool() as spool:
        assert spool.pending() == len(machine.in_spool())
        await spool.append(record(1), partition=0, reason="away")
