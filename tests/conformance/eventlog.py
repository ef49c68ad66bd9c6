"""What every event log has to do. An adapter's test module subclasses ``EventLogContract`` and
provides the fixture ``event_log``: a harness on a fresh, empty log.
"""

import asyncio

import pytest

from consumer.errors import LogMismatchError, LogUnavailableError, RecordRefusedError, StopError
from consumer.eventlog.base import Appended
from consumer.types import NewRecord, Position, Record
from tests.conformance.log_harness import (
    PATIENCE,
    LogHarness,
    append_all,
    from_start,
    numbered,
    read_count,
    read_until,
    stays_silent,
)

__all__ = ["PATIENCE", "EventLogContract", "LogHarness", "append_all", "numbered", "read_count"]


class ProducerContract:
    async def test_keeps_every_byte(self, event_log: LogHarness) -> None:
        """Key, value and headers come back byte for byte, headers in order and with duplicates."""
        headers = (("b", b"\x00\xff"), ("a", b""), ("b", "ü".encode()), ("ce_größe", b"1" * 300))
        written = [
            NewRecord(b"key", b"\x00\x01\xfe{", headers),
            NewRecord(b"\xff\x00", b"", ()),
            NewRecord("p/voucher/ñ😀".encode(), bytes(range(256)) * 40, (("only", b"x"),)),
        ]
        async with event_log.producing() as producer, event_log.reading() as reader:
            await append_all(producer, written)
            await from_start(reader)
            read = await read_count(reader, len(written))
        assert {NewRecord(record.key, record.value, record.headers) for record in read} == set(written)

    async def test_positions_are_where_the_records_lie(self, event_log: LogHarness) -> None:
        """The position that an append returns is that of its record, also among many at once."""
        records = [numbered(n) for n in range(500)]
        async with event_log.producing() as producer, event_log.reading() as reader:
            answers = await append_all(producer, records)
            await from_start(reader)
            read = await read_count(reader, len(records))
        assert all(answer.stored == "log" for answer in answers)
        lying = {Position(record.partition, record.offset): record.value for record in read}
        assert len(lying) == len(records)
        for record, answer in zip(records, answers, strict=True):
            assert answer.position is not None
            assert lying[answer.position] == record.value

    async def test_keeps_the_order_of_a_key(self, event_log: LogHarness) -> None:
        """Records of one key, appended one after the other within a tick, lie in that order."""
        records = [NewRecord(b"one-key", b"%d" % n, ()) for n in range(200)]
        async with event_log.producing() as producer, event_log.reading() as reader:
            await append_all(producer, records)
            await from_start(reader)
            read = await read_count(reader, len(records))
        assert [record.value for record in read] == [record.value for record in records]

    async def test_many_producers(self, event_log: LogHarness) -> None:
        """Producers append side by side without losing or mixing anything."""
        async with (
            event_log.producing() as one,
            event_log.producing() as two,
            event_log.reading() as reader,
        ):
            await asyncio.gather(
                append_all(one, map(numbered, range(300))), append_all(two, map(numbered, range(300, 600)))
            )
            await from_start(reader)
            read = await read_count(reader, 600)
        assert {record.value for record in read} == {numbered(n).value for n in range(600)}

    async def test_cancelled_waiter_disturbs_nobody(self, event_log: LogHarness) -> None:
        """Cancelling one append leaves those that share its write alone."""
        async with event_log.producing() as producer:
            tasks = [asyncio.create_task(producer.append(numbered(n))) for n in range(20)]
            await asyncio.sleep(0)
            tasks[7].cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[7], asyncio.CancelledError)
        assert all(isinstance(answer, Appended) for n, answer in enumerate(answers) if n != 7)

    async def test_refuses_what_it_never_takes(self, event_log: LogHarness) -> None:
        """A record over the log's limit is refused; those beside and after it are stored."""
        huge = NewRecord(b"huge", bytes(event_log.refused_size), ())
        async with event_log.producing() as producer:
            answers = await asyncio.gather(
                producer.append(numbered(1)),
                producer.append(huge),
                producer.append(numbered(2)),
                return_exceptions=True,
            )
            assert isinstance(answers[1], RecordRefusedError)
            assert isinstance(answers[0], Appended)
            assert isinstance(answers[2], Appended)
            assert (await producer.append(numbered(3))).stored == "log"

    async def test_ping(self, event_log: LogHarness) -> None:
        """A ping of a log that works says nothing and appends nothing."""
        async with event_log.producing() as producer, event_log.reading() as reader:
            await producer.ping()
            assert all(bounds.start == bounds.end for bounds in (await reader.bounds()).values())

    async def test_stop_answers_what_was_accepted(self, event_log: LogHarness) -> None:
        """Stopping answers every append that was under way; afterwards nothing more is taken."""
        producer = event_log.producer()
        await producer.start()
        tasks = [asyncio.create_task(producer.append(numbered(n))) for n in range(50)]
        await asyncio.sleep(0)
        await producer.stop()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(answer, Appended | LogUnavailableError) for answer in answers)
        stored = sum(isinstance(answer, Appended) for answer in answers)
        async with event_log.reading() as reader:
            assert sum(bounds.end for bounds in (await reader.bounds()).values()) >= stored
        with pytest.raises(LogUnavailableError):
            await producer.append(numbered(99))
        await producer.stop()


class ReaderContract:
    async def test_nothing_before_seek(self, event_log: LogHarness) -> None:
        """Assigned partitions bring no records until they are sought."""
        async with event_log.producing() as producer, event_log.reading() as reader:
            await append_all(producer, map(numbered, range(20)))
            await stays_silent(reader)
            await from_start(reader)
            await read_count(reader, 20)

    async def test_polls_are_contiguous_and_bounded(self, event_log: LogHarness) -> None:
        """Each poll continues the previous one, and none exceeds its limit."""
        async with event_log.producing() as producer, event_log.reading() as reader:
            await append_all(producer, map(numbered, range(300)))
            await from_start(reader)
            read = await read_count(reader, 300, max_records=7)
        for partition in {record.partition for record in read}:
            offsets = [record.offset for record in read if record.partition == partition]
            assert offsets == list(range(len(offsets)))

    async def test_seek(self, event_log: LogHarness) -> None:
        """After a seek the next record is the one at that offset, forwards and backwards."""
        async with event_log.producing() as producer, event_log.reading() as reader:
            answers = await append_all(producer, [NewRecord(b"k", b"%d" % n, ()) for n in range(50)])
            assert answers[0].position is not None
            partition = answers[0].position.partition
            for offset in (40, 10, 49, 0):
                await reader.seek(partition, offset)
                read = await read_until(reader, bool, max_records=3)
                assert [record.offset for record in read] == list(range(offset, offset + len(read)))
                assert read[0].value == b"%d" % offset

    async def test_pause(self, event_log: LogHarness) -> None:
        """A paused partition brings nothing, fetched already or new, until it is sought again."""
        async with event_log.producing() as producer, event_log.reading() as reader:
            answers = await append_all(producer, [NewRecord(b"k", b"%d" % n, ()) for n in range(50)])
            assert answers[0].position is not None
            partition = answers[0].position.partition
            await reader.seek(partition, 0)
            await read_until(reader, bool, max_records=5)
            await reader.pause(partition)
            await producer.append(NewRecord(b"k", b"new", ()))
            await stays_silent(reader)
            await reader.seek(partition, 48)
            read = await read_count(reader, 3)
        assert [record.value for record in read] == [b"48", b"49", b"new"]

    async def test_sees_news_while_waiting(self, event_log: LogHarness) -> None:
        """A poll that waits returns when a record is appended, long before its wait is over."""
        async with event_log.producing() as producer, event_log.reading() as reader:
            await from_start(reader)
            waiting = asyncio.create_task(reader.poll(max_records=10, wait=PATIENCE))
            await asyncio.sleep(0)
            await producer.append(numbered(1))
            async with asyncio.timeout(PATIENCE / 2):
                poll = await waiting
        assert [record.value for records in poll.records.values() for record in records] == [
            numbered(1).value
        ]

    async def test_poll_without_news_ends(self, event_log: LogHarness) -> None:
        """Without news a poll returns empty when its wait is over."""
        async with event_log.reading() as reader:
            await from_start(reader)
            async with asyncio.timeout(PATIENCE / 2):
                poll = await reader.poll(max_records=10, wait=0.1)
        assert not poll.records

    async def test_read_at(self, event_log: LogHarness) -> None:
        """One record can be read at its offset without moving anything; None where there is none."""
        async with event_log.producing() as producer, event_log.reading() as reader:
            answers = await append_all(producer, [NewRecord(b"k", b"%d" % n, ()) for n in range(5)])
            assert answers[0].position is not None
            partition = answers[0].position.partition
            for offset in (4, 0, 2):
                record = await reader.read_at(partition, offset)
                assert record == Record(partition, offset, b"k", b"%d" % offset, ())
            assert await reader.read_at(partition, 5) is None
            assert await reader.read_at(partition, 4711) is None
            await reader.seek(partition, 0)
            await read_count(reader, 5)
            await reader.pause(partition)
            again = await reader.read_at(partition, 3)
        assert again is not None
        assert again.value == b"3"

    async def test_bounds(self, event_log: LogHarness) -> None:
        """Bounds say what each partition holds, and follow what is appended."""
        async with event_log.producing() as producer, event_log.reading() as reader:
            before = await reader.bounds()
            assert all((bounds.start, bounds.end) == (0, 0) for bounds in before.values())
            await append_all(producer, map(numbered, range(30)))
            after = await reader.bounds()
        assert after.keys() == before.keys()
        assert sum(bounds.end for bounds in after.values()) == 30
        assert all(bounds.start == 0 for bounds in after.values())

    async def test_position_past_the_end(self, event_log: LogHarness) -> None:
        """A position that the log never reached means another log: it stops instead of waiting."""
        async with event_log.producing() as producer, event_log.reading() as reader:
            answer = await producer.append(numbered(1))
            assert answer.position is not None
            await reader.seek(answer.position.partition, 4711)
            with pytest.raises(LogMismatchError):
                await read_until(reader, bool)

    async def test_log_id(self, event_log: LogHarness) -> None:
        """All readers know the log by one id, which is not empty."""
        first, second = event_log.reader(), event_log.reader()
        await first.start()
        await second.start()
        assert first.log_id == second.log_id != ""
        for reader in (first, second, second):
            await reader.stop()


class AdminContract:
    async def test_describe(self, event_log: LogHarness) -> None:
        """The description bears the reader's log id and bounds, also after more was appended."""
        admin = event_log.admin()
        try:
            async with event_log.producing() as producer, event_log.reading() as reader:
                for batch in (range(10), range(10, 15)):
                    await append_all(producer, map(numbered, batch))
                    info = await admin.describe()
                    assert info.log_id == reader.log_id
                    assert info.bounds == await reader.bounds()
                    assert info.address
        finally:
            await admin.close()
            await admin.close()

    async def test_missing_log(self, event_log: LogHarness) -> None:
        """A log that does not exist is an error that says so."""
        admin = event_log.admin_of_missing_log()
        try:
            with pytest.raises(StopError):
                await admin.describe()
        finally:
            await admin.close()


class EventLogContract(ProducerContract, ReaderContract, AdminContract):
    """Everything."""
