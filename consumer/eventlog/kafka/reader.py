"""Reads a Kafka topic as member of a consumer group. Positions are the caller's; the group keeps none."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from consumer.clock import Clock
from consumer.errors import LogMismatchError, LogUnavailableError, StopError
from consumer.eventlog.base import Poll
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.membership import Membership, RawRecord
from consumer.eventlog.kafka.probe import Probe, to_record
from consumer.eventlog.kafka.stall import StallWatch
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.types import Bounds, Record

_JOIN_SECONDS: Final = 10.0
_LEAVE_SECONDS: Final = 2.0
_LOOKS: Final = 3
_LOOK_PAUSE: Final = 0.3
_WHAT_TO_DO: Final = "Restore the topic, or start with an empty projection, which is then rebuilt from it."
_NO_NEWS: Final[frozenset[int]] = frozenset()


class KafkaReader:
    """The group's partitions, from positions that the caller seeks.

    ``session_timeout``: a member silent for so long loses its partitions; heartbeats go three times as
    often. A process frozen for longer gives everything up and joins anew before it returns a record.
    ``max_poll_interval``: a reader that nobody polls for so long leaves the group. ``stall_timeout``: a
    partition that brings nothing for so long although the log has more gets a new consumer.
    """

    exclusive = True

    def __init__(
        self,
        connection: KafkaConnection,
        *,
        group_id: str,
        clock: Clock,
        metrics: Metrics,
        stall_timeout: float,
        session_timeout: float = 10.0,
        max_poll_interval: float = 300.0,
        log: Logger | None = None,
    ) -> None:
        self._connection = connection
        self.log_id = connection.topic
        self._group_id = group_id
        self._clock = clock
        self._session_timeout = session_timeout
        self._max_poll_interval = max_poll_interval
        self._log = log or structlog.get_logger()
        self._metrics = metrics
        self._probe = Probe(connection)
        self._watch = StallWatch(stall_timeout, clock)
        self._member: Membership | None = None
        self._held: set[int] = set()
        """What the caller believes to hold."""
        self._positions: dict[int, int] = {}
        """Of the partitions that may bring records."""
        self._gaps: set[int] = set()
        """Partitions that were sought again because of a gap."""
        self._pulse: asyncio.Task[None] | None = None
        self._alive = self._polled = clock.monotonic()
        self._polling = False
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def settled(self) -> bool:
        return self._member is not None and self._member.settled

    async def start(self) -> None:
        await self._join()
        self._alive = self._polled = self._clock.monotonic()
        if self._pulse is None:
            self._pulse = asyncio.create_task(self._beat(), name="kafka-reader-pulse")

    async def poll(self, *, max_records: int, wait: float) -> Poll:
        self._polling = True
        try:
            return await self._poll(max_records, wait)
        finally:
            self._polling = False
            self._polled = self._clock.monotonic()

    async def seek(self, partition: int, offset: int) -> None:
        if self._member is not None and partition in self._held:
            self._positions[partition] = offset
            self._gaps.discard(partition)
            self._watch.forget(partition)
            self._member.seek(partition, offset)

    async def pause(self, partition: int) -> None:
        self._positions.pop(partition, None)
        self._watch.forget(partition)
        if self._member is not None:
            self._member.pause(partition)

    async def read_at(self, partition: int, offset: int) -> Record | None:
        return await self._probe.read_at(partition, offset)

    async def bounds(self) -> Mapping[int, Bounds]:
        return await self._probe.bounds()

    async def stop(self) -> None:
        if (pulse := self._pulse) is not None:
            self._pulse = None
            pulse.cancel()
            await asyncio.wait([pulse])
        self._leave("stopped")
        self._held.clear()
        self._positions.clear()
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=_LEAVE_SECONDS)
        await self._probe.close()

    async def _poll(self, max_records: int, wait: float) -> Poll:
        self._check_pulse()
        if self._member is None and not self._held:
            try:
                await self._join()
            except StopError as error:
                # It was there when we started: gone for a moment, or for good; whoever polls sees it.
                raise LogUnavailableError(str(error)) from error
        if (news := self._news()) is not None:
            return news
        await self._check_progress()
        records = await self._take(max_records)
        if not records and wait > 0 and self._member is not None:
            records = await self._wait(max_records, wait)
            if (news := self._news()) is not None:
                return news
        return Poll(_NO_NEWS, _NO_NEWS, records)

    def _news(self) -> Poll | None:
        """What the group gave and took since the last poll."""
        # Frozen while waiting: what was fetched meanwhile may be another member's by now.
        self._check_pulse()
        lost, given = self._member.take_news() if self._member is not None else (True, _NO_NEWS)
        revoked = frozenset(self._held) if lost else _NO_NEWS
        if lost:
            self._held.clear()
            self._positions.clear()
            self._gaps.clear()
            self._watch.clear()
        self._held |= given
        return Poll(revoked, given, {}) if revoked or given else None

    async def _take(self, max_records: int) -> dict[int, Sequence[Record]]:
        """What is here already, of as few partitions as fill ``max_records``: each costs a transaction."""
        records: dict[int, Sequence[Record]] = {}
        left = max_records
        for partition in list(self._positions):
            if left == 0 or self._member is None:
                break
            try:
                fetched = await self._member.fetched(partition, left)
            except KafkaError as error:
                await self._fetch_failed(error, taken=bool(records))
                break
            if continued := self._continue(partition, fetched):
                records[partition] = continued
                left -= len(continued)
        # Next time it is the others' turn.
        for partition in records:
            self._positions[partition] = self._positions.pop(partition)
        return records

    async def _wait(self, max_records: int, wait: float) -> dict[int, Sequence[Record]]:
        assert self._member is not None  # noqa: S101 - the caller has looked
        records: dict[int, Sequence[Record]] = {}
        try:
            fetched = await self._member.wait(list(self._positions), max_records, wait)
        except KafkaError as error:
            await self._fetch_failed(error, taken=False)
            return records
        self._check_pulse()
        for partition, raw in fetched.items():
            if continued := self._continue(partition, raw):
                records[partition] = continued
        return records

    def _continue(self, partition: int, fetched: Sequence[RawRecord]) -> list[Record]:
        """The part of ``fetched`` that continues our position. Raises LogMismatchError on a lasting gap."""
        expected = self._positions.get(partition)
        if expected is None:
            return []
        records: list[Record] = []
        for raw in fetched:
            if raw.offset < expected:
                continue
            if raw.offset > expected:
                self._gap(partition, expected, raw.offset)
                break
            records.append(to_record(raw))
            expected += 1
        if records:
            self._positions[partition] = expected
            self._gaps.discard(partition)
            self._watch.forget(partition)
        return records

    def _gap(self, partition: int, expected: int, found: int) -> None:
        if partition in self._gaps:
            raise LogMismatchError(
                f"{self._connection.address}: partition {partition}: offset {expected} is missing, the log "
                f"goes on at {found}: records were deleted or compacted away. {_WHAT_TO_DO}"
            )
        self._gaps.add(partition)
        if self._member is not None:
            self._member.seek(partition, expected)

    async def _fetch_failed(self, error: KafkaError, *, taken: bool) -> None:
        """Raise what ``error`` means. With records taken already, return: they are good, it comes again."""
        if isinstance(error, OffsetOutOfRangeError):
            for tp in error.args[0] if error.args and not taken else ():
                if tp.partition in self._positions:
                    await self._out_of_range(tp.partition)
            return
        self._leave("failed", error=type(error).__name__, reason=str(error))
        if not taken:
            raise self._connection.unavailable("fetching", error) from error

    async def _out_of_range(self, partition: int) -> None:
        position = self._positions[partition]
        for look in range(_LOOKS):
            # A broker just back may report an old end for a moment.
            if look:
                await self._clock.sleep(_LOOK_PAUSE)
            bounds = (await self._probe.bounds()).get(partition, Bounds(0, 0))
            if bounds.start <= position <= bounds.end:
                return
        raise LogMismatchError(
            f"{self._connection.address}: partition {partition} starts at {bounds.start} and ends at "
            f"{bounds.end}, but {position} comes next: the topic was made anew, or records expired. "
            f"{_WHAT_TO_DO}"
        )

    async def _check_progress(self) -> None:
        # Without a partition it may be that the topic is gone; then asking for its bounds says so.
        if (self._positions or not self._held) and self._watch.due():
            stalled = self._watch.stalled(self._positions, await self._probe.bounds())
            if stalled:
                self._leave("stalled", partitions=stalled)

    async def _join(self) -> None:
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                self._member = await Membership.join(
                    self._connection, group_id=self._group_id, session_timeout=self._session_timeout
                )
        except (KafkaError, TimeoutError) as error:
            raise await self._connection.unreachable("joining the group", error) from error

    def _leave(self, why: str, **details: object) -> None:
        """Give everything up. The next poll says so, the one after it joins anew."""
        if self._member is None:
            return
        if why != "stopped":
            self._log.warning("watchdog", why=why, **details)
            self._metrics.reader_rejoins.labels(why).inc()
        task = asyncio.create_task(self._member.leave(), name="kafka-reader-leave")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        self._member = None

    def _check_pulse(self) -> None:
        """After a sleep longer than the session the partitions are another member's."""
        now = self._clock.monotonic()
        silent, self._alive = now - self._alive, now
        if silent > self._session_timeout:
            self._leave("frozen", seconds=round(silent, 1))

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(self._session_timeout / 4)
            self._check_pulse()
            idle = 0.0 if self._polling else self._clock.monotonic() - self._polled
            if idle > self._max_poll_interval:
                self._leave("idle", seconds=round(idle, 1))
