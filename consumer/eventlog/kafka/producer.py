"""Appends to a Kafka topic: acknowledged by all in-sync replicas, or refused within a deadline."""

import asyncio
from typing import Final

import structlog

from consumer.clock import Clock
from consumer.errors import LogUnavailableError, RecordRefusedError
from consumer.eventlog.base import Appended
from consumer.eventlog.kafka.abandon import ABANDON_SECONDS
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.lane import Lane
from consumer.eventlog.kafka.session import BATCH_OVERHEAD, Session, partition_for, record_bytes
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.types import NewRecord
from consumer.waiting import backoff

_CONNECT_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_WATCH_SECONDS: Final = 5.0
_STUCK_SECONDS: Final = 30.0
"""A partition without answer for so long gets a new producer."""


class KafkaProducer:
    """A producer that always answers, and mends itself in the background.

    ``deadline`` bounds every append, from the call to its answer. A partition whose batch is overdue
    refuses at once until the broker has answered. After a failure that aiokafka does not survive, a new
    producer takes over; what was not acknowledged is the caller's to append again. ``start`` returns also
    while the cluster is away; until it is there, appends are refused at once.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        *,
        deadline: float,
        max_record_bytes: int,
        clock: Clock,
        metrics: Metrics,
        log: Logger | None = None,
    ) -> None:
        self._connection = connection
        self._deadline = deadline
        self._max_record_bytes = max_record_bytes
        self._clock = clock
        self._metrics = metrics
        self._log = log or structlog.get_logger()
        self._request_timeout = max(2 * deadline, 5.0)
        self._session: Session | None = None
        self._reason = "not started"
        self._lanes: dict[int, Lane] = {}
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        """A first attempt to connect has ended, well or not."""
        self._keeper: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def start(self) -> None:
        """Connect; when the cluster does not answer within the deadline, go on trying in the background.

        Raises:
            SettingsError: a certificate, key or authority cannot be read.

        """
        self._connection.client_arguments()
        self._wanted.set()
        self._keeper = asyncio.create_task(self._keep_connected(), name="kafka-producer")
        try:
            async with asyncio.timeout(self._deadline):
                await self._settled.wait()
        except TimeoutError:
            self._reason = "no answer yet"

    def partition_of(self, key: bytes) -> int:
        """Where ``append`` puts a record with this key; 0 while the number of partitions is not known."""
        return partition_for(key, self._session.partitions) if self._session is not None else 0

    async def append(self, record: NewRecord) -> Appended:
        session = self._connected()
        size = record_bytes(record)
        limit = self._max_record_bytes
        if session.topic_limit is not None:
            limit = min(limit, session.topic_limit - BATCH_OVERHEAD)
        if size > limit:
            self._metrics.log_failures.labels("refused").inc()
            raise RecordRefusedError(f"a record of {size} bytes; the topic takes {limit}")
        partition = partition_for(record.key, session.partitions)
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = Lane(
                partition,
                session=self._connected,
                failed=self._failed,
                deadline=self._deadline,
                clock=self._clock,
                metrics=self._metrics,
            )
        return await lane.append(record)

    async def ping(self) -> None:
        """Ask the cluster; also LogUnavailableError while any partition is overdue."""
        session = self._connected()
        overdue = [number for number, lane in self._lanes.items() if lane.overdue_since is not None]
        if overdue:
            raise LogUnavailableError(f"{self._connection.address}: partitions {overdue} do not answer")
        try:
            async with asyncio.timeout(self._deadline):
                answered = await session.ping()
        except TimeoutError as error:
            raise self._connection.unavailable("ping", error) from error
        if not answered:
            raise LogUnavailableError(f"{self._connection.address}: ping: no broker answers")

    async def stop(self) -> None:
        self._stopped, self._reason = True, "stopped"
        for lane in list(self._lanes.values()):
            await lane.flushed()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None
        self._retire()
        if self._retiring:
            _, unfinished = await asyncio.wait(self._retiring, timeout=ABANDON_SECONDS)
            for task in unfinished:
                task.cancel()

    def _connected(self) -> Session:
        if self._session is None or self._stopped:
            raise LogUnavailableError(f"{self._connection.address}: not connected: {self._reason}")
        return self._session

    def _failed(self, session: Session, error: BaseException) -> None:
        """``session`` cannot be trusted any more."""
        if session is not self._session:
            return
        self._log.warning("producer_replaced", error=type(error).__name__, reason=str(error))
        self._reason = f"{type(error).__name__}: {error}"
        self._retire()
        self._wanted.set()

    def _retire(self) -> None:
        """Give the session up; its end is waited for in the background."""
        if self._session is not None:
            task = asyncio.create_task(self._session.abandon(), name="kafka-producer-end")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
            self._session = None

    async def _keep_connected(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_WATCH_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                await self._watch()
                continue
            self._wanted.clear()
            await self._connect()

    async def _watch(self) -> None:
        """Replace a producer that has had no answer for long, and take in new partitions."""
        now = self._clock.monotonic()
        overdue = [lane.overdue_since for lane in self._lanes.values() if lane.overdue_since is not None]
        if overdue and now - min(overdue) > _STUCK_SECONDS:
            self._log.warning("producer_replaced", reason=f"no answer in {_STUCK_SECONDS:g} s")
            self._wanted.set()
        elif self._session is not None and not overdue:
            await self._session.refresh_partitions()

    async def _connect(self) -> None:
        """Make a new session; the one in use stays in use until then."""
        failures, reason = 0, None
        while True:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    session = await Session.open(self._connection, request_timeout=self._request_timeout)
            except (LogUnavailableError, TimeoutError) as error:
                self._reason = str(error) or "no answer in time"
                if self._reason != reason:
                    self._log.warning("log_unavailable", reason=self._reason)
                reason = self._reason
            else:
                if reason is not None:
                    self._log.info("log_available", address=self._connection.address)
                self._retire()
                self._session = session
                self._settled.set()
                return
            self._settled.set()
            await self._clock.sleep(backoff(failures, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE))
            failures += 1
