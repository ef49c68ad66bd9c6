"""A publisher in this process, on a projection that the test feeds, and a real topic."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

from consumer.clock import SystemClock
from consumer.log import Output, create_log
from consumer.metrics import Metrics
from consumer.projection.changes import SqlChanges
from consumer.projection.publisher_store import SqlPublisherStore
from consumer.projection.read_pool import ReadPool
from consumer.publisher.loop import Publisher
from consumer.publisher.records import is_listed, key_of, value_of
from tests.entries_kit import entries_topic
from tests.servers.kafka import KafkaBroker


class Publishing:
    """One publisher as a process would have it; ``start`` and ``stop``, or ``kill`` it in the middle."""

    def __init__(
        self,
        broker: KafkaBroker,
        topic: str,
        address: str,
        *,
        owner: str = "one",
        lease: float = 10.0,
        log_ends: Mapping[int, int] | None = None,
        poll: float = 0.01,
    ) -> None:
        self.store = SqlPublisherStore(address, topic)
        self.pool = ReadPool(address, readers=1)
        self.changes = SqlChanges(self.pool)
        self.log_ends = dict(log_ends or {})
        self.lines = BytesIO()
        self._output = Output(self.lines)
        self._stop = asyncio.Event()
        self.topic = entries_topic(broker, topic)
        self.publisher = Publisher(
            topic,
            self.topic,
            self.changes,
            self.store,
            open_parts=self._open,
            log_ends=self._ends,
            owner=owner,
            lease=lease,
            clock=SystemClock(),
            metrics=Metrics(),
            log=create_log(self._output, level="info", console=False),
            poll=poll,
            check=0.2,
        )

    async def _open(self) -> None:
        await self.store.start()
        await self.pool.start()

    async def _ends(self) -> Mapping[int, int]:
        return self.log_ends

    def start(self) -> None:
        self._task = asyncio.create_task(self.publisher.run(self._stop))

    async def kill(self) -> None:
        """Give up whatever it does, at once: nothing is noted, nothing is let go of."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.wait({self._task})
        await self.close()

    async def close(self) -> None:
        await self.topic.close()
        await self.store.stop()
        await self.pool.stop()
        self._output.flush()

    @property
    def details(self) -> Mapping[str, Any]:
        return self.publisher.details()

    def actions(self) -> str:
        self._output.flush()
        return self.lines.getvalue().decode()


@asynccontextmanager
async def publishing(
    broker: KafkaBroker, topic: str, address: str, **options: Any
) -> AsyncIterator[Publishing]:
    """Publishes while the block lasts."""
    one = Publishing(broker, topic, address, **options)
    one.start()
    try:
        yield one
    finally:
        await one.stop()


async def bin_as_published(pool: ReadPool) -> dict[str, Any]:
    """What the topic has to hold: the listed entries as they are."""
    page = await SqlChanges(pool).changes(None, None, 1_000_000)
    assert page.caught_up
    return {
        key_of(change).decode(): value_of(change, change.entry).model_dump()
        for change in page.changes
        if is_listed(change) and change.entry is not None
    }
