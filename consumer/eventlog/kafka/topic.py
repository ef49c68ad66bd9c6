"""What the cluster says about the topic."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from consumer.errors import StopError
from consumer.eventlog.kafka.connection import KafkaConnection


class TopicState(NamedTuple):
    """A topic as the cluster describes it."""

    partitions: int
    replication_factor: int
    """The least of its partitions."""
    configs: Mapping[str, str]


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
