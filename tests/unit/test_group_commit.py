import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from consumer.clock import SystemClock
from consumer.errors import LogUnavailableError
from consumer.eventlog.database_thread import DatabaseThread
from consumer.eventlog.group_commit import GroupCommit


class Disk:
    """Takes rows on a thread; may hang."""

    def __init__(self) -> None:
        self.writes: list[list[str]] = []
        self.begun = threading.Event()
        self.works = threading.Event()
        self.works.set()
        self.count = 0

    def write(self, rows: Sequence[str]) -> int:
        self.begun.set()
        self.works.wait()
        self.writes.append(list(rows))
        self.count += len(rows)
        return self.count - len(rows)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def thread(disk: Disk) -> AsyncIterator[DatabaseThread]:
    thread = DatabaseThread("the disk")
    thread.start()
    yield thread
    disk.works.set()
    await thread.stop(lambda: None, deadline=5)


def group(
    thread: DatabaseThread, disk: Disk, *, deadline: float = 5.0, max_bytes: int = 1000
) -> GroupCommit[str]:
    return GroupCommit(
        thread,
        disk.write,
        after=lambda: None,
        written=lambda _rows: None,
        failed=lambda _error: None,
        clock=SystemClock(),
        deadline=deadline,
        max_rows=10,
        max_bytes=max_bytes,
    )


async def begun(disk: Disk) -> None:
    await asyncio.to_thread(disk.begun.wait)


async def test_shares_writes(disk: Disk, thread: DatabaseThread) -> None:
    """Rows of a tick share a write; those that come meanwhile share the next. Numbers follow the order."""
    commits = group(thread, disk)
    disk.works.clear()
    first = [commits.add(row, 1) for row in "abc"]
    await begun(disk)
    second = [commits.add(row, 1) for row in "de"]
    await asyncio.sleep(0)
    third = commits.add("f", 1)
    disk.works.set()
    assert await asyncio.gather(*first, *second, third) == [0, 1, 2, 3, 4, 5]
    assert disk.writes == [["a", "b", "c"], ["d", "e", "f"]]


async def test_hanging_disk(disk: Disk, thread: DatabaseThread) -> None:
    """Everybody is answered in time, and what was not begun is not written when the disk comes back."""
    commits = group(thread, disk, deadline=0.1)
    disk.works.clear()
    begun_with = commits.add("a", 1)
    await begun(disk)
    waiting = commits.add("b", 1)
    for future in (begun_with, waiting):
        with pytest.raises(LogUnavailableError):
            await future
    disk.works.set()
    await commits.drain(5)
    assert disk.writes == [["a"]]


async def test_bounds(disk: Disk, thread: DatabaseThread) -> None:
    """What waits is bounded in rows and in bytes; one row alone may be larger than the bound."""
    commits = group(thread, disk)
    taken = [commits.add("x" * 5000, 5000)]
    with pytest.raises(LogUnavailableError):
        commits.add("y", 1)
    await taken[0]
    taken = [commits.add("x", 1) for _ in range(10)]
    with pytest.raises(LogUnavailableError):
        commits.add("y", 1)
    await asyncio.gather(*taken)


async def test_drain(disk: Disk, thread: DatabaseThread) -> None:
    """Draining takes nothing more, waits, and fails what the disk did not take in time."""
    commits = group(thread, disk)
    disk.works.clear()
    one = commits.add("a", 1)
    await begun(disk)
    two = commits.add("b", 1)
    await commits.drain(0.05)
    for future in (one, two):
        with pytest.raises(LogUnavailableError):
            await future
    with pytest.raises(LogUnavailableError):
        commits.add("c", 1)


async def test_thread_that_does_not_run() -> None:
    """Without its thread nothing is accepted, and stopping it is allowed all the same."""
    thread = DatabaseThread("the disk")
    with pytest.raises(LogUnavailableError, match="the disk"):
        await thread.run(lambda: None)
    with pytest.raises(LogUnavailableError):
        group(thread, Disk()).add("a", 1)
    await thread.stop(lambda: None, deadline=1)
