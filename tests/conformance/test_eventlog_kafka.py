"""The Kafka log on a real broker: the contract. What only Kafka can suffer is in the end-to-end tests."""

import pytest

from consumer.clock import SystemClock
from consumer.eventlog.kafka.admin import KafkaLogAdmin
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.producer import KafkaProducer
from consumer.eventlog.kafka.reader import KafkaReader
from consumer.metrics import Metrics
from tests.conformance.eventlog import EventLogContract, LogHarness
from tests.servers.kafka import KafkaBroker

pytestmark = pytest.mark.kafka


class KafkaHarness(LogHarness):
    refused_size = 2 << 20

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.connection = KafkaConnection(bootstrap_servers=(bootstrap,), topic=topic)

    def producer(self) -> KafkaProducer:
        return KafkaProducer(
            self.connection, deadline=3.0, max_record_bytes=1 << 20, clock=SystemClock(), metrics=Metrics()
        )

    def reader(self) -> KafkaReader:
        return KafkaReader(
            self.connection,
            group_id=f"of-{self.connection.topic}",
            clock=SystemClock(),
            metrics=Metrics(),
            stall_timeout=30.0,
        )

    def admin(self) -> KafkaLogAdmin:
        return KafkaLogAdmin(self.connection)

    def admin_of_missing_log(self) -> KafkaLogAdmin:
        servers = self.connection.bootstrap_servers
        return KafkaLogAdmin(KafkaConnection(bootstrap_servers=servers, topic="no-such-topic"))


@pytest.fixture
def event_log(kafka_broker: KafkaBroker, kafka_topic: str) -> KafkaHarness:
    return KafkaHarness(kafka_broker.bootstrap, kafka_topic)


class TestKafkaLog(EventLogContract):
    """The contract."""
