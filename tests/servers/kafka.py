"""A real Kafka broker for the tests, as a pytest plugin; as a module it keeps one running for people.

``python -m tests.servers.kafka --port 9092 --topic bin-events --partitions 3``
"""

import argparse
import asyncio
import gc
import itertools
import os
import shutil
import signal
import tempfile
import threading
import uuid
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from consumer.eventlog.kafka.topic import topic_state
from tests.servers.kafka_node import AOT_CACHE, KafkaNode, free_port
from tests.servers.kafka_packages import PackagesUnavailableError, class_path, java, locked

_numbers = itertools.count(1)
UNLIMITED = {"retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": str(3 * 1024 * 1024)}


class KafkaBroker(KafkaNode):
    """One node, plain text, that creates no topics by itself. Session timeouts may be as short as 1 s."""

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.port = port or free_port()
        controller = free_port()
        super().__init__(
            directory,
            {
                "process.roles": "broker,controller",
                "node.id": "1",
                "controller.quorum.voters": f"1@127.0.0.1:{controller}",
                "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
                "controller.listener.names": "CONTROLLER",
                "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
                "offsets.topic.replication.factor": "1",
                "offsets.topic.num.partitions": "1",
                "transaction.state.log.replication.factor": "1",
                "transaction.state.log.min.isr": "1",
                "transaction.state.log.num.partitions": "1",
                "group.initial.rebalance.delay.ms": "0",
                "group.min.session.timeout.ms": "1000",
                # A broker killed may register again only when its old session is over.
                "broker.session.timeout.ms": "2000",
                "broker.heartbeat.interval.ms": "500",
                "auto.create.topics.enable": "false",
            },
        )

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self.formatted:
            self.format(new_cluster_id())
        self.launch()
        self.wait_ready()

    def create_topic(
        self, name: str, *, partitions: int = 3, configs: Mapping[str, str] | None = None
    ) -> None:
        """Make a topic, by default one as binmirror makes it. Blocking; safe beside a running loop."""
        run_apart(_create_topic(self.bootstrap, name, partitions, {**UNLIMITED, **(configs or {})}))

    def delete_topic(self, name: str) -> None:
        run_apart(_delete_topic(self.bootstrap, name))


def new_cluster_id() -> str:
    """Without a dash in front, which Kafka's tool takes for an option: one random id in 64 has one."""
    made = (urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=") for _ in itertools.count())
    return next(name for name in made if not name.startswith("-"))


def run_apart(work: Coroutine[object, object, None]) -> None:
    """Run ``work`` on a loop of its own in a thread, so that a running loop does not matter."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


async def _create_topic(bootstrap: str, name: str, partitions: int, configs: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        topic = NewTopic(name, partitions, 1, topic_configs=configs)
        response: Any = await admin.create_topics([topic], timeout_ms=10_000)
        assert all(error[1] == 0 for error in response.topic_errors), response
        async with asyncio.timeout(30):
            while await topic_state(admin, name) is None:  # noqa: ASYNC110 - a broker's metadata has no event
                await asyncio.sleep(0.02)
    finally:
        await admin.close()


async def _delete_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name], timeout_ms=10_000)
    finally:
        await admin.close()


def make_aot_cache() -> None:
    """Have brokers start in a second, not five. Made once for each environment; they start without it too."""
    with (
        locked(AOT_CACHE.with_suffix(".lock")),
        tempfile.TemporaryDirectory(prefix="binmirror-kafka-") as folder,
    ):
        if AOT_CACHE.exists():
            return
        broker, made = KafkaBroker(Path(folder)), Path(folder) / "aot"
        broker.format(new_cluster_id())
        broker.launch(aot_output=made)
        broker.wait_ready()
        broker.stop(patience=60)
        if made.exists():
            shutil.move(made, AOT_CACHE)


def set_topic_config(bootstrap: str, topic: str, name: str, value: str) -> None:
    """Set one option of a topic, the others to the cluster's defaults. Returns when brokers go by it."""
    run_apart(_set_topic_config(bootstrap, topic, name, value))


async def _set_topic_config(bootstrap: str, topic: str, name: str, value: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})])
        async with asyncio.timeout(30):
            state = None
            while state is None or state.configs[name] != value:
                state = await topic_state(admin, topic)
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def kafka_packages() -> None:
    """Skips loudly where the packages cannot be had; with ``CI=true`` that is a failure."""
    try:
        java()
        class_path()
    except PackagesUnavailableError as error:
        message = f"NOT TESTED AGAINST KAFKA: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    make_aot_cache()


@pytest.fixture(scope="session")
def kafka_broker(kafka_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One running broker for all tests. A test that stops or freezes it takes ``kafka_topic`` too."""
    del kafka_packages
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def kafka_topic(kafka_broker: KafkaBroker) -> Iterator[str]:
    """The name of a fresh topic with three partitions. Before and after, the broker runs."""
    kafka_broker.restore()
    name = f"test-{next(_numbers)}"
    kafka_broker.create_topic(name)
    yield name
    kafka_broker.restore()
    # aiokafka forgets a connection whose opening is given up: let go of here, it is no fault of a later test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep a Kafka broker running until Ctrl-C.")
    parser.add_argument("--port", type=int, default=9092, help="0: any free port")
    parser.add_argument("--data", type=Path, help="directory that survives; default: a temporary one")
    parser.add_argument("--topic", help="make this topic, unless it is there")
    parser.add_argument("--partitions", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="binmirror-kafka-") as temporary:
        broker = KafkaBroker(arguments.data or Path(temporary), port=arguments.port)
        fresh = not broker.formatted
        broker.start()
        try:
            if arguments.topic and fresh:
                broker.create_topic(arguments.topic, partitions=arguments.partitions)
            print(f"ready {broker.bootstrap} (pid {broker.pid}, log {broker.log})", flush=True)  # noqa: T201 - a tool's answer
            done = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: done.set())
            done.wait()
        finally:
            broker.stop()


if __name__ == "__main__":
    main()
