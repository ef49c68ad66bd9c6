"""Asking the cluster about a topic, and having it make one."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidReplicationFactorError,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)

from consumer.errors import StopError
from consumer.eventlog.kafka.connection import KafkaConnection

_ANSWER_SECONDS: Final = 5.0
_CREATION_SECONDS: Final = 15.0
_VISIBLE_PAUSE: Final = 0.1
_ONE_BROKER: Final = (
    " On a single broker, for a trial, set KAFKA_ALLOW_SINGLE_REPLICA=true and KAFKA_REPLICATION_FACTOR=1."
)
_COPIES: Final = 2
"""On so many disks a record has to be before it is acknowledged."""
_SINGLE_REPLICA: Final = (
    "one replica loses what was acknowledged when a broker's disk dies; use replication factor 3, or allow "
    "it by KAFKA_ALLOW_SINGLE_REPLICA"
)


class TopicState(NamedTuple):
    """A topic as the cluster describes it."""

    partitions: int
    replication_factor: int
    """The least of its partitions."""
    configs: Mapping[str, str]


class TopicCreation(NamedTuple):
    """What ``make_topic`` did."""

    created: bool
    """False: it was there already."""
    differences: tuple[str, ...]
    """How an existing topic differs from what was asked for; nothing is changed."""


@asynccontextmanager
async def admin_client(
    connection: KafkaConnection, doing: str, seconds: float = _ANSWER_SECONDS
) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for at most so many seconds. Raises LogUnavailableError."""
    client = AIOKafkaAdminClient(**connection.client_arguments(), request_timeout_ms=int(seconds * 1000))
    try:
        async with asyncio.timeout(seconds):
            await client.start()
            yield client
    except (KafkaError, TimeoutError) as error:
        raise await connection.unreachable(doing, error) from error
    finally:
        await client.close()


async def make_topic(
    connection: KafkaConnection, asked: TopicState, *, allow_single_replica: bool
) -> TopicCreation:
    """Make the topic, unless it is there. Returns when every broker asked knows it.

    Raises:
        LogUnavailableError: no answer in time.
        StopError: the cluster refuses (too few brokers, no permission), or one replica is not allowed.

    """
    if asked.replication_factor < _COPIES and not allow_single_replica:
        raise StopError(_SINGLE_REPLICA)
    topic = NewTopic(
        connection.topic, asked.partitions, asked.replication_factor, topic_configs=dict(asked.configs)
    )
    async with admin_client(connection, "creating the topic", _CREATION_SECONDS) as client:
        response: Any = await client.create_topics([topic], timeout_ms=int(_CREATION_SECONDS * 1000))
        _name, code, *message = response.topic_errors[0]
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            reason = message[0] if message and message[0] else error.__name__
            if error is InvalidReplicationFactorError:
                reason += _ONE_BROKER
            raise StopError(f"{connection.address}: the cluster does not make the topic: {reason}")
        while (state := await topic_state(client, connection.topic)) is None:  # noqa: ASYNC110 - no event
            await asyncio.sleep(_VISIBLE_PAUSE)
    if not code:
        return TopicCreation(created=True, differences=())
    return TopicCreation(created=False, differences=_differences(asked, state))


def _differences(asked: TopicState, found: TopicState) -> tuple[str, ...]:
    pairs: list[tuple[str, object, object]] = [
        ("partitions", asked.partitions, found.partitions),
        ("replication factor", asked.replication_factor, found.replication_factor),
    ]
    pairs += [(name, value, found.configs.get(name)) for name, value in asked.configs.items()]
    return tuple(f"{name} is {has}, not {wanted}" for name, wanted, has in pairs if wanted != has)


def no_such_topic(connection: KafkaConnection) -> StopError:
    return StopError(f"{connection.address}: no such topic; `binmirror topics create` makes it")


async def topic_state(client: AIOKafkaAdminClient, name: str) -> TopicState | None:
    """None when there is no such topic.

    Raises:
        KafkaError: no answer, or no permission.

    """
    # All topics: asked for one that is missing, some clusters would make it, with limited retention.
    topics: list[Any] = await client.describe_topics(None)
    found = [topic for topic in topics if topic["topic"] == name]
    if not found:
        return None
    if found[0]["error_code"]:
        raise for_code(found[0]["error_code"])
    partitions = found[0]["partitions"]
    replicas = min(len(partition["replicas"]) for partition in partitions)
    return TopicState(len(partitions), replicas, await _configs(client, name))


async def _configs(client: AIOKafkaAdminClient, name: str) -> dict[str, str]:
    answers: list[Any] = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    configs: dict[str, str] = {}
    for answer in answers:
        for code, message, _type, _name, entries in answer.resources:
            if code:
                raise for_code(code)(message)
            configs |= {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return configs


def replica_problems(state: TopicState) -> list[str]:
    """What would lose records with one disk, or stop all writing with one broker."""
    problems = []
    if state.replication_factor < _COPIES:
        problems.append(f"replication factor is {state.replication_factor}: {_SINGLE_REPLICA}")
    in_sync = int(state.configs.get("min.insync.replicas", 1))
    if in_sync < _COPIES:
        problems.append(
            f"min.insync.replicas is {in_sync}: an acknowledged record may be on one disk only; set it to 2"
        )
    elif in_sync >= state.replication_factor:
        problems.append(
            f"min.insync.replicas is {in_sync} of {state.replication_factor} replicas: the first broker that "
            "is away stops all writing; use one less"
        )
    return problems
