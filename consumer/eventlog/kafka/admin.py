"""Makes the topic, checks that it keeps what it is given, and describes it."""

from typing import Final

from consumer.eventlog.base import LogInfo
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.probe import Probe
from consumer.eventlog.kafka.topic import (
    TopicCreation,
    TopicState,
    admin_client,
    make_topic,
    no_such_topic,
    replica_problems,
    topic_state,
)

_KEPT: Final = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""Without limit: the log is the truth."""
_SHOWN: Final = (
    "min.insync.replicas",
    "max.message.bytes",
    "retention.ms",
    "retention.bytes",
    "cleanup.policy",
)


class KafkaLogAdmin:
    """Each call has a deadline; ``close`` releases what was opened."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._probe = Probe(connection)

    async def describe(self) -> LogInfo:
        async with admin_client(self._connection, "describing the topic") as client:
            state = await topic_state(client, self._connection.topic)
        if state is None:
            raise no_such_topic(self._connection)
        details: dict[str, str | int | bool] = {
            "partitions": state.partitions,
            "replication_factor": state.replication_factor,
        }
        for name in _SHOWN:
            value = state.configs.get(name, "unknown")
            details[name] = int(value) if value.lstrip("-").isdigit() else value
        return LogInfo(
            "kafka", self._connection.address, self._connection.topic, await self._probe.bounds(), details
        )

    async def create_topic(
        self,
        *,
        partitions: int,
        replication_factor: int,
        min_insync_replicas: int,
        max_message_bytes: int,
        allow_single_replica: bool,
    ) -> TopicCreation:
        """As ``make_topic``."""
        configs = {
            **_KEPT,
            "min.insync.replicas": str(min_insync_replicas),
            "max.message.bytes": str(max_message_bytes),
        }
        asked = TopicState(partitions, replication_factor, configs)
        return await make_topic(self._connection, asked, allow_single_replica=allow_single_replica)

    async def check_topic(self, *, max_body_bytes: int, allow_single_replica: bool) -> list[str]:
        """What is wrong with the topic, one sentence each; empty when it may be used.

        Raises LogUnavailableError.
        """
        async with admin_client(self._connection, "checking the topic") as client:
            state = await topic_state(client, self._connection.topic)
        if state is None:
            return [str(no_such_topic(self._connection))]
        problems = _size_problems(state, max_body_bytes) + _retention_problems(state)
        if not allow_single_replica:
            problems += replica_problems(state)
        return [f"topic {self._connection.topic}: {problem}" for problem in problems]

    async def close(self) -> None:
        await self._probe.close()


def _size_problems(state: TopicState, max_body_bytes: int) -> list[str]:
    limit, needed = int(state.configs.get("max.message.bytes", 0)), 2 * max_body_bytes
    if limit >= needed:
        return []
    must = f"it must be at least {needed}, twice MAX_BODY_BYTES: set it on the topic, or lower MAX_BODY_BYTES"
    return [f"max.message.bytes is {limit}; {must}"]


def _retention_problems(state: TopicState) -> list[str]:
    return [
        f"{name} is {state.configs.get(name)}; it must be {value}: the log is the truth and must be kept"
        for name, value in _KEPT.items()
        if state.configs.get(name) != value
    ]
