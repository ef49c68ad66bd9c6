"""Makes the compacted topic of entries, and checks that it keeps every key's last value."""

from typing import Final

from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.topic import (
    TopicCreation,
    TopicState,
    admin_client,
    make_topic,
    no_such_topic,
    replica_problems,
    topic_state,
)

TOMBSTONE_MS: Final = 7 * 24 * 3600 * 1000
"""How long a tombstone stays: a subscriber that was away for less learns of every removal."""
_MADE_WITH: Final = {"cleanup.policy": "compact", "delete.retention.ms": str(TOMBSTONE_MS)}


class EntriesTopicAdmin:
    """Each call has a deadline, and leaves nothing open."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection

    async def create(
        self,
        *,
        partitions: int,
        replication_factor: int,
        min_insync_replicas: int,
        allow_single_replica: bool,
    ) -> TopicCreation:
        """As ``make_topic``."""
        configs = {**_MADE_WITH, "min.insync.replicas": str(min_insync_replicas)}
        asked = TopicState(partitions, replication_factor, configs)
        return await make_topic(self._connection, asked, allow_single_replica=allow_single_replica)

    async def check(self, *, allow_single_replica: bool) -> list[str]:
        """What is wrong with the topic, one sentence each; empty when it may be used.

        Raises LogUnavailableError.
        """
        async with admin_client(self._connection, "checking the topic of entries") as client:
            state = await topic_state(client, self._connection.topic)
        if state is None:
            return [str(no_such_topic(self._connection))]
        problems = _policy_problems(state)
        if not allow_single_replica:
            problems += replica_problems(state)
        return [f"topic {self._connection.topic}: {problem}" for problem in problems]


def _policy_problems(state: TopicState) -> list[str]:
    problems = []
    policy = state.configs.get("cleanup.policy")
    if policy != "compact":
        problems.append(
            f"cleanup.policy is {policy}; it must be compact: with any other the topic forgets entries that "
            "are still in the bin, or keeps every version of them"
        )
    kept = int(state.configs.get("delete.retention.ms", 0))
    if kept < TOMBSTONE_MS:
        problems.append(
            f"delete.retention.ms is {kept}; it must be at least {TOMBSTONE_MS} (seven days): a subscriber "
            "that was away for longer than that would keep entries that are gone"
        )
    return problems
