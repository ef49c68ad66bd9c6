"""Chooses the concrete classes: SQLite or Kafka for the log, SQLite or PostgreSQL for the projection."""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

from consumer.addresses import KafkaAddress, SqliteAddress
from consumer.clock import Clock
from consumer.errors import SettingsError
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
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.store import SqlProjectionWriter
from consumer.settings import Settings
from consumer.worker.interpret import Interpreter
from consumer.worker.loop import Worker

LEASE_SECONDS: Final = 10.0
"""How long a SQLite log waits for a worker that has vanished before another one takes over."""
HEADERS_BYTES: Final = 16 * 1024
"""What a record holds beside a delivery's body, at most."""

SideTask: TypeAlias = Callable[[asyncio.Event], Awaitable[None]]


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


def projection_address(settings: Settings) -> str:
    """The projection's address in full."""
    address = settings.projection
    return str(address) if isinstance(address, SqliteAddress) else address.url.get_secret_value()


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


def projection_reader(settings: Settings) -> ProjectionReader:
    """Asks the projection."""
    return SqlProjectionReader(projection_address(settings), interpret=interpreter(settings))


def interpreter(settings: Settings) -> Interpreter:
    """Reads records by the rules of the configured projects."""
    return Interpreter(settings.resolved_projects())


class Parts:
    """Makes the parts of a running service; starts none of them."""

    def __init__(self, settings: Settings, *, clock: Clock, metrics: Metrics, log: Logger) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._log = log

    def producer(self) -> tuple[Producer, SideTask | None]:
        """What takes deliveries, and the task that relays its spool, if it has one."""
        settings, address = self._settings, self._settings.event_log
        if isinstance(address, SqliteAddress):
            make_folder(address.path)
            producer = SqliteProducer(
                address.path, clock=self._clock, metrics=self._metrics, deadline=settings.publish_deadline
            )
            return producer, None
        raise NotImplementedError

    def worker(self) -> Worker:
        """What mirrors the log into the projection."""
        settings = self._settings
        if isinstance(settings.projection, SqliteAddress):
            make_folder(settings.projection.path)
        interpret = interpreter(settings)
        return Worker(
            self._reader(),
            SqlProjectionWriter(projection_address(settings), interpret),
            interpret,
            owner=f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}",
            lease=LEASE_SECONDS,
            clock=self._clock,
            metrics=self._metrics,
            log=self._log,
            batch_size=settings.worker_batch_size,
        )

    def projection_reader(self) -> ProjectionReader:
        """What answers the API's queries."""
        return projection_reader(self._settings)

    def _reader(self) -> Reader:
        address = self._settings.event_log
        if isinstance(address, SqliteAddress):
            make_folder(address.path)
            return SqliteReader(address.path, clock=self._clock)
        raise NotImplementedError
