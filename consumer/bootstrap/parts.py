"""Chooses the concrete classes: SQLite or Kafka for the log, SQLite or PostgreSQL for the projection."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, TypedDict

from consumer.addresses import KafkaAddress, SqliteAddress
from consumer.bootstrap.names import process_name
from consumer.clock import Clock
from consumer.errors import SettingsError, StopError
from consumer.eventlog.base import LogAdmin, Producer, Reader
from consumer.eventlog.failover import SpoolingProducer
from consumer.eventlog.kafka.admin import KafkaLogAdmin
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.producer import KafkaProducer
from consumer.eventlog.kafka.reader import KafkaReader
from consumer.eventlog.spool import Relay, Spool
from consumer.eventlog.sqlite import SqliteLogAdmin, SqliteProducer, SqliteReader
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.projection.base import ProjectionReader
from consumer.projection.control import SqlWorkerControl
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from consumer.projection.store import SqlProjectionWriter
from consumer.settings import Settings
from consumer.worker.interpret import Interpreter
from consumer.worker.loop import Worker
from schemas.trash_bin import FilterKey

SUBSTRING_KEYS: Final[Mapping[str, Sequence[FilterKey]]] = {
    "off": (),
    "names": ("resource_name",),
    "all": ("resource_name", "resource_id", "id"),
}
LEASE_SECONDS: Final = 10.0
"""How long a SQLite log waits for a worker that has vanished before another one takes over."""
STALL_SECONDS: Final = 30.0
"""How long a partition may bring nothing, although the log has more, before its consumer is made anew."""

HEADROOM_BYTES: Final = 64 * 1024
"""What a record may hold beside twice the largest body."""


class TopicConfig(TypedDict):
    """Arguments of ``KafkaLogAdmin.create_topic``."""

    partitions: int
    replication_factor: int
    min_insync_replicas: int
    max_message_bytes: int
    allow_single_replica: bool


SideTask: TypeAlias = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


def kafka_connection(settings: Settings, address: KafkaAddress) -> KafkaConnection:
    """How to reach the log's cluster."""
    password = settings.kafka_password
    return KafkaConnection(
        bootstrap_servers=address.servers,
        topic=address.topic,
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        user=settings.kafka_user,
        password=None if password is None else password.get_secret_value(),
        ca=settings.kafka_ca,
        certificate=settings.kafka_certificate,
        key=settings.kafka_key,
    )


def topic_config(settings: Settings) -> TopicConfig:
    """How a topic of ours is made."""
    replicas = settings.kafka_replication_factor
    return {
        "partitions": settings.kafka_partitions,
        "replication_factor": replicas,
        # A record is acknowledged once it is on two disks, where there are two.
        "min_insync_replicas": min(2, replicas),
        "max_message_bytes": 2 * settings.max_body_bytes + HEADROOM_BYTES,
        "allow_single_replica": settings.kafka_allow_single_replica,
    }


def projection_address(settings: Settings) -> str:
    """The projection's address in full."""
    address = settings.projection
    return str(address) if isinstance(address, SqliteAddress) else address.url.get_secret_value()


def substring_keys(settings: Settings) -> Sequence[FilterKey]:
    """The keys of the filters whose parts are to have an index."""
    return SUBSTRING_KEYS[settings.substring_index]


def require_projection(settings: Settings) -> None:
    """Raises StopError where there is no SQLite file yet: looking must not make one."""
    address = settings.projection
    if isinstance(address, SqliteAddress) and not address.path.exists():
        raise StopError(f"there is no projection at {address.path} yet; the worker makes it when it starts")


def make_folder(file: Path) -> None:
    """The folder that ``file`` goes into, for its owner alone. Raises SettingsError."""
    folder = file.absolute().parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{file}: its folder cannot be made ({error.strerror})") from None


def log_admin(settings: Settings) -> LogAdmin:
    """Looks at the event log."""
    address = settings.event_log
    if isinstance(address, SqliteAddress):
        return SqliteLogAdmin(address.path)
    return KafkaLogAdmin(kafka_connection(settings, address))


def read_pool(settings: Settings) -> ReadPool:
    """Threads that read the projection; started and stopped with the reader that they are given to."""
    return ReadPool(projection_address(settings))


def projection_reader(settings: Settings) -> ProjectionReader:
    """Asks the projection."""
    return SqlProjectionReader(read_pool(settings))


def direct_producer(settings: Settings, *, clock: Clock, metrics: Metrics) -> SqliteProducer | KafkaProducer:
    """Appends to the event log itself, never to a spool: for own events, which can be told again."""
    address = settings.event_log
    if isinstance(address, SqliteAddress):
        make_folder(address.path)
        return SqliteProducer(address.path, clock=clock, metrics=metrics, deadline=settings.publish_deadline)
    return KafkaProducer(
        kafka_connection(settings, address),
        deadline=settings.publish_deadline,
        max_record_bytes=topic_config(settings)["max_message_bytes"],
        clock=clock,
        metrics=metrics,
    )


class Parts:
    """Makes the parts of a running service; starts none of them."""

    def __init__(self, settings: Settings, *, clock: Clock, metrics: Metrics, log: Logger) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._interpret = Interpreter(settings.resolved_projects())
        self._writer: SqlProjectionWriter | None = None

    def producer(self) -> tuple[Producer, SideTask | None]:
        """What takes deliveries, and the task that relays its spool, if it has one."""
        settings = self._settings
        kafka = direct_producer(settings, clock=self._clock, metrics=self._metrics)
        if isinstance(kafka, SqliteProducer):
            return kafka, None
        make_folder(settings.spool)
        spool = Spool(settings.spool, metrics=self._metrics, clock=self._clock)
        spooling = SpoolingProducer(
            kafka,
            spool,
            partition_of=kafka.partition_of,
            deadline=settings.publish_deadline,
            clock=self._clock,
            metrics=self._metrics,
            log=self._log,
        )
        relay = Relay(spool, kafka, clock=self._clock, metrics=self._metrics, log=self._log)
        return spooling, relay.run

    def writer(self) -> SqlProjectionWriter:
        """The worker's: one for the process. Control tables in SQLite are written through it too."""
        if self._writer is None:
            settings = self._settings
            if isinstance(settings.projection, SqliteAddress):
                make_folder(settings.projection.path)
            address = projection_address(settings)
            self._writer = SqlProjectionWriter(
                address,
                interpret=self._interpret,
                clock=self._clock,
                substring_index=substring_keys(settings),
                on_index_progress=self._index_grows,
            )
        return self._writer

    def worker(self) -> Worker:
        """What mirrors the log into the projection."""
        settings = self._settings
        writer = self.writer()
        return Worker(
            self._reader(),
            writer,
            self._interpret,
            owner=process_name(),
            lease=LEASE_SECONDS,
            clock=self._clock,
            metrics=self._metrics,
            log=self._log,
            batch_size=settings.worker_batch_size,
            orders=SqlWorkerControl(writer),
        )

    def _index_grows(self, key: FilterKey, done: int, of: int) -> None:
        self._log.info("substring_index", key=key, entries=done, of=of)

    def _reader(self) -> Reader:
        settings, address = self._settings, self._settings.event_log
        if isinstance(address, SqliteAddress):
            make_folder(address.path)
            return SqliteReader(address.path, clock=self._clock)
        return KafkaReader(
            kafka_connection(settings, address),
            group_id=settings.kafka_group,
            clock=self._clock,
            metrics=self._metrics,
            stall_timeout=STALL_SECONDS,
        )
