"""Whether every transaction in a topic is decided, in its partitions and not only with the coordinator.

A commit is acknowledged once the coordinator has noted the intention (PREPARE_COMMIT); the markers that make
the records visible, partition by partition, follow. A coordinator that is started again writes the markers
that are missing, but passes over every partition that has no leader at that moment, takes it for deleted, and
notes the transaction as complete (seen with Kafka 4.3.1: "Couldn't find leader endpoint for partitions … can
be skipped"). Such a partition then holds an open transaction that nobody ends: its last stable offset stands
still, readers of what is committed see nothing from there on, and the next marker of the same producer,
COMMIT or ABORT, decides over those records as well. So an acknowledged commit is not yet a committed record.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from consumer.eventlog.kafka.connection import KafkaConnection
from consumer.eventlog.kafka.probe import Probe

_LOOK_SECONDS: Final = 0.01
_LONGEST_LOOK_SECONDS: Final = 0.2


class Settled:
    """Compares the two ends of each partition: of what is replicated, and of what is decided."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._replicated = Probe(connection)
        self._decided = Probe(connection, isolation_level="read_committed")

    async def ends(self) -> Mapping[int, int]:
        """Wait until all that is replicated now is decided; partition → that end. To be bounded from outside.

        Raises:
            LogUnavailableError: no answer, or no such topic.

        """
        ends = await self.replicated()
        pause = _LOOK_SECONDS
        while await self._behind(ends):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK_SECONDS)
        return ends

    async def undecided(self) -> list[int]:
        """The partitions with a transaction that is open now."""
        return await self._behind(await self.replicated())

    async def replicated(self) -> Mapping[int, int]:
        """Partition → its end, decided or not. Raises LogUnavailableError."""
        return await self._replicated.ends()

    async def close(self) -> None:
        await self._replicated.close()
        await self._decided.close()

    async def _behind(self, ends: Mapping[int, int]) -> list[int]:
        decided = await self._decided.ends()
        return [number for number, end in ends.items() if decided.get(number, 0) < end]
