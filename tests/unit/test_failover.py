import asyncio
import random
from contextlib import closing
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from consumer.errors import LogUnavailableError, NotDurableError
from consumer.eventlog.base import Appended
from consumer.types import NewRecord
from tests.unit.spoolkit import PATIENCE, Fault, Machine, of_partition, partition_of, record, until

SPOOLED = Appended(None, "spool")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def circuit(machine: Machine, partition: int) -> float:
    value: float = machine.metrics.circuit_open.labels(str(partition))._value.get()
    return value


async def test_log_works(machine: Machine) -> None:
    """While the log works every record goes there, and its position comes back."""
    async with machine.receiving() as (producer, _, spool):
        answers = await asyncio.gather(*(producer.append(record(n)) for n in range(100)))
        assert spool.pending() == 0
    assert [answer.stored for answer in answers] == ["log"] * 100
    assert all(answer.position is not None for answer in answers)
    assert machine.in_log() == [record(n) for n in range(100)]


async def test_spool_takes_over_and_gives_back(machine: Machine) -> None:
    """After a failure the partition's records go straight to the spool, until the relay has succeeded."""
    first, *others = of_partition(0, 40)
    async with machine.receiving() as (producer, primary, spool):
        primary.all("away")
        assert await producer.append(first) == SPOOLED
        assert circuit(machine, 0) == 1
        primary.all(None)
        tried = primary.tried
        assert await asyncio.gather(*map(producer.append, others)) == [SPOOLED] * 39
        assert primary.tried == tried
        async with machine.relaying(spool, primary):
            await until(lambda: not spool.partitions)
        assert circuit(machine, 0) == 0
        assert (await producer.append(first)).stored == "log"
    assert machine.in_log() == [first, *others, first]
    assert machine.actions().count("circuit_opened") == 1
    assert machine.actions().count("circuit_closed") == 1


async def test_other_partitions_go_on(machine: Machine) -> None:
    """A partition that is away does not send the records of others to the spool."""
    async with machine.receiving() as (producer, primary, _):
        primary.fault = lambda one: "away" if partition_of(one.key) == 1 else None
        for number in range(60):
            answer = await producer.append(record(number))
            expected = "spool" if partition_of(record(number).key) == 1 else "log"
            assert answer.stored == expected


async def test_other_processes_are_followed(machine: Machine) -> None:
    """Records that another process spooled send this one's of the partition there too."""
    (one,) = of_partition(2, 1)
    async with machine.receiving() as (producer, _, spool), machine.open_spool() as other:
        assert (await producer.append(one)).stored == "log"
        await other.append(one, partition=2, reason="away")
        await until(lambda: bool(spool.partitions))
        assert await producer.append(one) == SPOOLED


async def test_silent_log(machine: Machine) -> None:
    """A log that never answers costs its deadline once; the records are in the spool in time."""
    async with machine.receiving() as (producer, primary, _):
        primary.all("silent")
        loop = asyncio.get_running_loop()
        started = loop.time()
        answers = await asyncio.gather(*(producer.append(record(n)) for n in range(200)))
        assert loop.time() - started < machine.deadline + 2
        assert answers == [SPOOLED] * 200
    assert set(machine.in_spool()) == {record(n) for n in range(200)}


async def test_cancelled_waiter(machine: Machine) -> None:
    """A caller that is cancelled while the log is silent is cancelled, and others are answered."""
    async with machine.receiving() as (producer, primary, _):
        primary.all("silent")
        cancelled = asyncio.create_task(producer.append(record(1)))
        other = asyncio.create_task(producer.append(record(2)))
        await until(lambda: primary.tried == 2)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert await other == SPOOLED
        assert other.cancelling() == 0


async def test_refused_record(machine: Machine) -> None:
    """A record that the log refuses is set aside durably, with an alarm, and opens no circuit."""
    async with machine.receiving() as (producer, primary, spool):
        primary.fault = lambda one: "refuses" if one == record(1) else None
        assert await producer.append(record(1)) == SPOOLED
        assert (await producer.append(record(2))).stored == "log"
        assert (spool.pending(), spool.set_aside()) == (0, 1)
    assert machine.in_spool("set_aside") == [record(1)]
    assert machine.actions() == ["record_set_aside"]


async def test_nowhere(machine: Machine) -> None:
    """With the log away and the spool locked the answer is in time that it is not durable."""
    async with machine.receiving() as (producer, primary, spool):
        with closing(sqlite.connect(str(machine.spool_path), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            primary.all("silent")
            loop = asyncio.get_running_loop()
            for _ in range(2):
                started = loop.time()
                with pytest.raises(NotDurableError):
                    await producer.append(record(1))
                assert loop.time() - started < machine.deadline + 2
            with pytest.raises(NotDurableError):
                await producer.ping()
            other.execute("ROLLBACK")
        assert await producer.append(record(2)) == SPOOLED
        await producer.ping()
        assert spool.pending() >= 1
    assert "spool_unavailable" in machine.actions()


async def test_log_is_back_but_the_spool_is_not(machine: Machine) -> None:
    """With the circuit open and the spool unusable the log is asked all the same."""
    async with machine.receiving() as (producer, primary, _):
        primary.all("away")
        assert await producer.append(record(1)) == SPOOLED
        primary.all(None)
        machine.spool_path.rename(machine.folder / "elsewhere.db")
        assert (await producer.append(record(1))).stored == "log"
        await producer.ping()
        primary.all("away")
        with pytest.raises(NotDurableError, match="the log is away"):
            await producer.append(record(1))
        with pytest.raises(NotDurableError, match="the log is away"):
            await producer.ping()


async def test_starts_without_the_log(machine: Machine) -> None:
    """A log that is away at the start does not keep deliveries from being stored."""
    machine.log_path.mkdir()
    async with machine.receiving() as (producer, primary, spool):
        assert await producer.append(record(1)) == SPOOLED
        machine.log_path.rmdir()
        async with machine.relaying(spool, primary):
            await until(lambda: not spool.partitions)
        assert (await producer.append(record(2))).stored == "log"
    assert machine.in_log() == [record(1), record(2)]
    assert machine.actions()[0] == "log_unavailable"


async def test_starts_with_neither(machine: Machine) -> None:
    """Without any durable place there is no start."""
    machine.log_path.mkdir()
    machine.spool_path.mkdir()
    producer = machine.spooling(machine.faulty(), machine.spool())
    with pytest.raises(NotDurableError):
        await producer.start()
    await producer.stop()


async def test_starts_without_the_spool(tmp_path: Path) -> None:
    """A spool that cannot be used at the start is reported, and the log takes the records."""
    machine = Machine(tmp_path)
    (tmp_path / "disk").write_bytes(b"no folder")
    primary, spool = machine.faulty(), Machine(tmp_path / "disk").spool()
    producer = machine.spooling(primary, spool)
    await producer.start()
    assert (await producer.append(record(1))).stored == "log"
    assert machine.actions() == ["spool_unavailable"]
    await producer.stop()


async def test_stop_never_hangs(machine: Machine) -> None:
    """A log that does not let go is left behind when stopping, and stopping twice is allowed."""
    primary, spool = machine.faulty(), machine.spool()
    producer = machine.spooling(primary, spool)
    await producer.start()
    primary.stop_hangs = True
    async with asyncio.timeout(PATIENCE / 2):
        await producer.stop()
    primary.stop_hangs = False
    await producer.stop()
    with pytest.raises(NotDurableError):
        await producer.append(record(1))


async def one_life(machine: Machine, chance: random.Random, numbers: list[int]) -> set[NewRecord]:
    """Receive ``numbers`` while log and spool fail at random; what was acknowledged."""
    acknowledged: set[NewRecord] = set()

    def fault(_record: NewRecord) -> Fault | None:
        kinds: list[Fault] = ["away", "stored_but_silent", "refuses", "silent"]
        return chance.choices([None, *kinds], [60, 15, 10, 5, 1])[0]

    async def deliver(number: int) -> None:
        try:
            await producer.append(record(number))
        except (NotDurableError, LogUnavailableError):
            return
        acknowledged.add(record(number))

    async with machine.receiving() as (producer, primary, spool):
        primary.fault = fault
        primary.silence_ends.set()
        async with machine.relaying(spool, primary):
            while numbers:
                burst = [numbers.pop() for _ in range(min(len(numbers), chance.randint(1, 60)))]
                tasks = [asyncio.create_task(deliver(number)) for number in burst]
                if chance.random() < 0.2:
                    tasks[0].cancel()
                with closing(sqlite.connect(str(machine.spool_path), isolation_level=None)) as other:
                    if chance.random() < 0.2:
                        other.execute("BEGIN IMMEDIATE")
                    await asyncio.gather(*tasks, return_exceptions=True)
    return acknowledged


@pytest.mark.parametrize("seed", range(4))
async def test_no_acknowledged_record_is_lost(machine: Machine, seed: int) -> None:
    """Whatever fails, restarts included: every acknowledged record is in the log or set aside at the end."""
    chance = random.Random(seed)
    acknowledged: set[NewRecord] = set()
    for life in range(3):
        acknowledged |= await one_life(machine, chance, [life * 1000 + n for n in range(400)])
    assert len(acknowledged) > 600
    async with machine.receiving() as (_, primary, spool), machine.relaying(spool, primary):
        await until(lambda: spool.pending() == 0)
    assert acknowledged <= set(machine.in_log()) | set(machine.in_spool("set_aside"))
