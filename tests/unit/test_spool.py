import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from consumer.clock import SystemClock
from consumer.errors import NotDurableError, StopError
from consumer.eventlog.spool_file import SpoolFile, read_counts
from consumer.types import NewRecord
from tests.unit.spoolkit import PATIENCE, Fault, Machine, keep_all, of_partition, partition_of, record, until


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_keeps_records_across_restarts(machine: Machine) -> None:
    """Records lie in the spool byte for byte and in order, and a new process finds them."""
    records = [*map(record, range(300)), NewRecord(b"\xff", b"", (("a", b"\x00"), ("a", b"")))]
    async with machine.open_spool() as spool:
        await keep_all(spool, records)
        assert spool.pending() == 301
    assert machine.in_spool() == records
    async with machine.open_spool() as spool:
        assert spool.pending() == 301
        assert spool.partitions == {partition_of(one.key) for one in records}
        taken = await spool.take(partition_of(b"\xff"), limit=1000, max_bytes=1 << 20)
        assert [one.record for one in taken] == [
            one for one in records if partition_of(one.key) == partition_of(b"\xff")
        ]


async def test_knows_what_other_processes_do(machine: Machine) -> None:
    """Records that another process puts there or takes away are noticed without being asked."""
    async with machine.open_spool() as one, machine.open_spool() as other:
        changes: list[frozenset[int]] = []
        other.watch(lambda: changes.append(other.partitions))
        await one.append(record(1), partition=7, reason="away")
        await one.append(record(2), partition=9, reason="refused", shelf="set_aside")
        await until(lambda: other.partitions == {7} and other.set_aside() == 1)
        taken = await one.take(7, limit=10, max_bytes=1 << 20)
        await one.settle(7, [taken[0].id], {})
        await until(lambda: not other.partitions)
        assert changes == [{7}, set()]


async def test_settles(machine: Machine) -> None:
    """Relayed records are dropped, refused ones set aside with their reason; counts are right, also twice."""
    async with machine.open_spool() as spool:
        for number in range(5):
            await spool.append(record(number), partition=3, reason="away")
        taken = await spool.take(3, limit=10, max_bytes=1 << 20)
        for _ in range(2):
            await spool.settle(3, [taken[0].id, taken[1].id], {taken[2].id: "too \ud800 large"})
            await until(lambda: spool.pending() == 2 and spool.set_aside() == 1)
        aside = machine.set_aside()
        assert [(one.partition, one.record) for one in aside] == [(3, record(2))]
        assert "large" in aside[0].reason
        assert not machine.set_aside(after=aside[0].id)
    assert machine.in_spool() == [record(3), record(4)]
    counts = read_counts(machine.spool_path)
    assert counts is not None
    assert (counts.pending, counts.set_aside) == (2, 1)


async def test_waits_again(machine: Machine) -> None:
    """What was set aside waits once more, behind what waits already, and a relay brings it to the log."""
    async with machine.open_spool() as spool, machine.open_log() as log:
        for number in range(3):
            await spool.append(record(number), partition=number % 2, reason="too large", shelf="set_aside")
        (first, second, third) = machine.set_aside()
        file = SpoolFile(machine.spool_path, busy=1, clock=SystemClock())
        assert file.wait_again([third.id, first.id, 99]) == 2
        assert file.wait_again([first.id]) == 0
        file.close()
        assert machine.in_spool() == [record(0), record(2)]
        assert machine.set_aside() == [second]
        counts = read_counts(machine.spool_path)
        assert counts == ({0: 2}, 1)
        async with machine.relaying(spool, log):
            await until(lambda: spool.pending() == 0 and spool.set_aside() == 1)
    assert machine.in_log() == [record(0), record(2)]


async def test_takes_by_size(machine: Machine) -> None:
    """A batch has no more content than asked for, but at least one record."""
    async with machine.open_spool() as spool:
        await keep_all(spool, [NewRecord(b"k", bytes(1000), ())] * 5)
        for max_bytes, count in ((2500, 2), (10, 1), (100_000, 5)):
            taken = await spool.take(partition_of(b"k"), limit=10, max_bytes=max_bytes)
            assert len(taken) == count


async def test_no_spool_to_look_at(machine: Machine) -> None:
    """Looking at a spool that does not exist finds nothing and makes nothing."""
    assert read_counts(machine.spool_path) is None
    assert not machine.spool_path.exists()


async def test_foreign_file(machine: Machine) -> None:
    """A file that is no spool is left alone."""
    machine.spool_path.write_bytes(b"something else " * 400)
    spool = machine.spool()
    with pytest.raises(StopError, match=r"spool\.db"):
        await spool.start()
    with pytest.raises(NotDurableError):
        await spool.append(record(1), partition=0, reason="away")
    with pytest.raises(NotDurableError):
        await spool.ping()
    await spool.stop()
    assert machine.spool_path.read_bytes() == b"something else " * 400


async def test_comes_back(tmp_path: Path) -> None:
    """A spool whose disk is away at the start is used as soon as it is there."""
    (tmp_path / "disk").write_bytes(b"no folder")
    machine = Machine(tmp_path / "disk")
    spool = machine.spool()
    with pytest.raises(NotDurableError):
        await spool.start()
    with pytest.raises(NotDurableError):
        await spool.append(record(1), partition=0, reason="away")
    (tmp_path / "disk").unlink()
    await spool.append(record(2), partition=0, reason="away")
    await spool.ping()
    await spool.stop()
    assert machine.in_spool() == [record(2)]


async def test_locked(machine: Machine) -> None:
    """A spool that another process locks answers in time that it cannot."""
    async with machine.open_spool() as spool:
        with closing(sqlite.connect(str(machine.spool_path), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            loop = asyncio.get_running_loop()
            started = loop.time()
            with pytest.raises(NotDurableError):
                await spool.append(record(1), partition=0, reason="away")
            assert loop.time() - started < 2
            other.execute("ROLLBACK")
        await spool.append(record(2), partition=0, reason="away")
    assert record(2) in machine.in_spool()


async def test_deleted_while_in_use(machine: Machine) -> None:
    """Nothing is acknowledged into a spool that nobody can find any more."""
    async with machine.open_spool() as spool:
        await spool.append(record(1), partition=0, reason="away")
        machine.spool_path.unlink()
        with pytest.raises(NotDurableError, match="deleted"):
            await spool.append(record(2), partition=0, reason="away")


async def test_relays_everything_in_order(machine: Machine) -> None:
    """The relay brings all records to the log, those of a partition in order, and empties the spool."""
    records = [record(number) for number in range(1200)]
    async with machine.open_spool() as spool, machine.open_log() as log:
        await keep_all(spool, records)
        async with machine.relaying(spool, log):
            await until(lambda: spool.pending() == 0)
    # On a busy machine a batch may be brought twice: its first coming counts.
    found = list(dict.fromkeys(machine.in_log()))
    for partition in range(3):
        assert [one for one in found if partition_of(one.key) == partition] == [
            one for one in records if partition_of(one.key) == partition
        ]
    assert not machine.in_spool()
    assert machine.metrics.relayed.labels("relayed")._value.get() == 1200
    assert {"relay_started", "relay_batch"} <= set(machine.actions())


async def test_relay_waits_for_the_log(machine: Machine) -> None:
    """While the log is away the relay asks with single records, says so, and goes on when it is back."""
    async with machine.open_spool() as spool, machine.open_log() as log:
        await keep_all(spool, of_partition(0, 30))
        log.all("away")
        async with machine.relaying(spool, log):
            await until(lambda: log.tried >= 30 + 8)
            assert spool.pending() == 30
            log.all(None)
            await until(lambda: spool.pending() == 0)
    assert machine.in_log() == of_partition(0, 30)
    assert machine.actions().count("relay_waits") < 8


async def test_one_partition_away(machine: Machine) -> None:
    """A partition that is away does not hold up the others."""
    async with machine.open_spool() as spool, machine.open_log() as log:
        await keep_all(spool, of_partition(1, 20) + of_partition(2, 20))
        log.fault = lambda one: "silent" if partition_of(one.key) == 1 else None
        async with machine.relaying(spool, log):
            await until(lambda: spool.partitions == {1})
            assert machine.in_log() == of_partition(2, 20)
            log.silence_ends.set()
            await until(lambda: spool.pending() == 0)


async def test_sets_aside_what_the_log_refuses(machine: Machine) -> None:
    """A refused record goes to the other shelf, with an alarm, and the rest flows."""
    poison = of_partition(0, 10)[4]
    async with machine.open_spool() as spool, machine.open_log() as log:
        await keep_all(spool, of_partition(0, 10))
        log.fault = lambda one: "refuses" if one == poison else None
        async with machine.relaying(spool, log):
            await until(lambda: spool.pending() == 0 and spool.set_aside() == 1)
        (aside,) = machine.set_aside()
    assert (aside.record, aside.reason) == (poison, "too large for the topic")
    assert machine.in_log() == [one for one in of_partition(0, 10) if one != poison]
    assert machine.metrics.spool_set_aside._value.get() == 1
    assert "record_set_aside" in machine.actions()


async def test_lost_acknowledgements_lose_nothing(machine: Machine) -> None:
    """A record whose acknowledgement got lost is brought again: twice in the log, never absent."""
    faults: list[Fault | None] = ["stored_but_silent", None, "stored_but_silent"]
    async with machine.open_spool() as spool, machine.open_log() as log:
        await keep_all(spool, of_partition(0, 5))
        log.fault = lambda _record: faults.pop() if faults else None
        async with machine.relaying(spool, log):
            await until(lambda: spool.pending() == 0)
    assert set(machine.in_log()) == set(of_partition(0, 5))


async def test_log_without_answer(machine: Machine) -> None:
    """A log that never answers holds the relay up for a while only."""
    async with machine.open_spool() as spool, machine.open_log() as log:
        await keep_all(spool, of_partition(0, 5))
        log.all("silent")
        async with machine.relaying(spool, log):
            await until(lambda: log.tried == 5)
            log.all(None)
            await until(lambda: spool.pending() == 0)


async def test_one_relay_for_each_file(machine: Machine) -> None:
    """Of two relays of one spool one works; the other takes over when it ends."""
    async with (
        machine.open_spool() as spool,
        machine.open_log() as first,
        machine.open_log() as second,
    ):
        async with machine.relaying(spool, first):
            await keep_all(spool, of_partition(0, 5))
            await until(lambda: first.tried >= 5 and spool.pending() == 0)
            async with machine.relaying(spool, second):
                await keep_all(spool, of_partition(1, 5))
                await until(lambda: first.tried >= 10 and spool.pending() == 0)
                assert second.tried == 0
        async with machine.relaying(spool, second):
            await keep_all(spool, of_partition(2, 5))
            await until(lambda: second.tried >= 5 and spool.pending() == 0)


async def test_relay_stops_in_the_middle(machine: Machine) -> None:
    """A relay that is stopped while the log is silent ends at once, and its records stay."""
    async with machine.open_spool() as spool, machine.open_log() as log:
        await keep_all(spool, of_partition(0, 5))
        log.all("silent")
        async with asyncio.timeout(PATIENCE / 2), machine.relaying(spool, log):
            await until(lambda: log.tried == 5)
        assert spool.pending() == 5
