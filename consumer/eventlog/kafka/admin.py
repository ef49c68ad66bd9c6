"""Makes the topic, checks that it keeps what it is given, and describes it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from consumer.errors import StopError
from consumer.eventlog.base import LogInfo
from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.probe import Probe
from consumer.eventlog.kafka.topic import TopicState, no_such_topic, topic_state

_ANSWER_SECONDS: Final = 5.0
_CREATION_SECONDS: Final = 15.0
_VISIBLE_PAUSE: Final = 0.1
_KEPT: Final = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""Without limit: the log is the truth."""
_SHOWN: Final = (
    "min.insync.replicas",
    "max.message.bytes",
    "retention.ms",
    "retention.bytes",
    "cleanup.policy",
)


class TopicCreation(NamedTuple):
    """What ``create_topic`` did."""

    created: bool
    """False: it was there already."""
    differences: tuple[str, ...]
    """How an existing topic differs from what was asked for; nothing is changed."""


class KafkaLogAdmin:
    """Each call has a deadline; ``close`` releases what was opened."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._probe = Probe(connection)

    async def describe(self) -> LogInfo:
        async with self._client("describing the topic") as client:
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
        """Make the topic, unless it is there. Returns when every broker asked knows it.

        Raises:
            LogUnavailableError: no answer in time.
            StopError: the cluster refuses (too few brokers, no permission), or one replica is not allowed.

        """
        if replication_factor < 2 and not allow_single_replica:  # noqa: PLR2004 - a copy beside the first
            raise StopError(_SINGLE_REPLICA)
        configs = {
            **_KEPT,
            "min.insync.replicas": str(min_insync_replicas),
            "max.message.bytes": str(max_message_bytes),
        }
        topic = NewTopic(self._connection.topic, partitions, replication_factor, topic_configs=configs)
        async with self._client("creating the topic", _CREATION_SECONDS) as client:
            response: Any = await client.create_topics([topic], timeout_ms=int(_CREATION_SECONDS * 1000))
            _name, code, *message = response.topic_errors[0]
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                reason = message[0] if message and message[0] else error.__name__
                raise StopError(f"{self._connection.address}: the cluster does not make the topic: {reason}")
            while (state := await topic_state(client, self._connection.topic)) is None:  # noqa: ASYNC110 - no event
                await asyncio.sleep(_VISIBLE_PAUSE)
        if not code:
            return TopicCreation(created=True, differences=())
        asked = TopicState(partitions, replication_factor, configs)
        return TopicCreation(created=False, differences=_differences(asked, state))

    async def check_topic(self, *, max_body_bytes: int, allow_single_replica: bool) -> list[str]:
        """What is wrong with the topic, one sentence each; empty when it may be used.

        Raises LogUnavailableError.
        """
        async with self._client("checking the topic") as client:
            state = await topic_state(client, self._connection.topic)
        if state is None:
            return [str(no_such_topic(self._connection))]
        problems = _size_problems(state, max_body_bytes) + _retention_problems(state)
        if not allow_single_replica:
            problems += _replica_problems(state)
        return [f"topic {self._connection.topic}: {problem}" for problem in problems]

    async def close(self) -> None:
        await self._probe.close()

    @asynccontextmanager
    async def _client(
        self, doing: str, seconds: float = _ANSWER_SECONDS
    ) -> AsyncIterator[AIOKafkaAdminClient]:
        client = AIOKafkaAdminClient(
            **self._connection.client_arguments(), request_timeout_ms=int(seconds * 1000)
        )
        try:
            async with asyncio.timeout(seconds):
                await client.start()
                yield client
        except (KafkaError, TimeoutError) as error:
            raise self._connection.unavailable(doing, error) from error
        finally:
            await client.close()


_SINGLE_REPLICA: Final = (
    "one replica loses what was acknowledged when a broker's disk dies; use replication factor 3, or allow "
    "it by KAFKA_ALLOW_SINGLE_REPLICA"
)


def _differences(asked: TopicState, found: TopicState) -> tuple[str, ...]:
    pairs: list[tuple[str, object, object]] = [
        ("partitions", asked.partitions, found.partitions),
        ("replication factor", asked.replication_factor, found.replication_factor),
    ]
    pairs += [(name, value, found.configs.get(name)) for name, value in asked.configs.items()]
    return tuple(f"{name} is {has}, not {wanted}" for name, wanted, has in pairs if wanted != has)


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


def _replica_problems(state: TopicState) -> list[str]:
    problems = []
    if state.replication_factor < 2:  # noqa: PLR2004 - a copy beside the first
        problems.append(f"replication factor is {state.replication_factor}: {_SINGLE_REPLICA}")
    in_sync = int(state.configs.get("min.insync.replicas", 1))
    if in_sync < 2:  # noqa: PLR2004 - as above
        problems.append(
            f"min.insync.replicas is {in_sync}: an acknowledged record may be on one disk only; set it to 2"
        )
    elif in_sync >= state.replication_factor:
        problems.append(
            f"min.insync.replicas is {in_sync} of {state.replication_factor} replicas: the first broker that "
            "is away stops all writing; use one less"
        )
    return problems
