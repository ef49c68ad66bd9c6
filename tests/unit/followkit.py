"""A projection that is followed over HTTP, and followers."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from consumer.clock import SystemClock
from consumer.log import Output, create_log
from consumer.metrics import Metrics
from consumer.projection.changes import SqlChanges
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from consumer.projection.store import SqlProjectionWriter
from consumer.web.change_feed import ChangeFeed
from consumer.web.change_stream import StreamRules
from consumer.web.changes import Following
from tests.projection_kit import Feed, Said, writer
from tests.unit.webkit import CREDENTIALS, Web

CHANGES = "/mirror/v1/changes"
STREAM = "/mirror/v1/changes/stream"
RULES = StreamRules(most=20, heartbeat=0.2, write_timeout=20.0)


@dataclass
class Followed:
    """A served application, and the worker's side of what it shows."""

    web: Web
    store: SqlProjectionWriter
    feed: Feed
    stop: asyncio.Event
    address: str
    following: Following
    port: int = 0

    async def push(self, *said: Said) -> None:
        await self.feed.push(*(one._replace(project="default") for one in said))

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=CREDENTIALS, timeout=30)

    def sample(self, name: str, **labels: str) -> float:
        return self.web.metrics.registry.get_sample_value(f"binmirror_{name}", labels) or 0.0


@asynccontextmanager
async def followed(folder: Path, rules: StreamRules = RULES) -> AsyncIterator[Followed]:
    """Serves a SQLite projection in ``folder``."""
    address = f"sqlite:///{folder}/bin.db"
    store = writer(address, clock=SystemClock())
    await store.start()
    pool = ReadPool(address)
    reader = SqlProjectionReader(pool)
    await reader.start()
    metrics, stop, output = Metrics(), asyncio.Event(), Output(io.BytesIO())
    changes = SqlChanges(pool)
    feed = ChangeFeed(changes, log=create_log(output, level="debug", console=False))
    polling = asyncio.create_task(feed.run(stop))
    following = Following(changes, feed, rules, metrics)
    web = Web(reader=reader, following=following, metrics=metrics)
    made = Followed(web, store, await Feed.of(store), stop, address, following)
    async with web.serve() as made.port:
        yield made
        stop.set()
        await polling
    await reader.stop()
    await store.stop()
    output.close()


@dataclass
class SseEvent:
    """One event of a stream, or a comment."""

    kind: str = ""
    id: str | None = None
    data: str = ""
    comment: str | None = None

    def json(self) -> Any:
        return json.loads(self.data)


@dataclass
class Copy:
    """What a follower holds: state and name by resource."""

    entries: dict[tuple[str, str], tuple[str, str | None]] = field(default_factory=dict)

    def take(self, page: Any) -> None:
        for change in page["data"]:
            key = (change["resource_type"], change["resource_id"])
            if change["state"] == "withdrawn":
                self.entries.pop(key, None)
            else:
                self.entries[key] = (change["state"], change["resource_name"])


async def events_of(response: httpx.Response) -> AsyncIterator[SseEvent]:
    """The events of a stream, comments with an id included."""
    event = SseEvent()
    async for line in response.aiter_lines():
        if not line:
            yield event
            event = SseEvent()
        elif line.startswith(":"):
            event.comment = line[1:].strip()
        else:
            name, _, value = line.partition(": ")
            if name == "event":
                event.kind = value
            elif name == "id":
                event.id = value
            elif name == "data":
                event.data += value
