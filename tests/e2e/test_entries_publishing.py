"""Whole processes publish the topic of entries: killed, frozen, rebalanced, rebuilt; the copy is the bin."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.entries_kit import COMPACTED, Subscriber
from tests.servers.kafka import KafkaBroker, set_topic_config
from tests.servers.prefork import run
from tests.stack import CREDENTIALS, PATIENCE, Load, Service, Stack, bin_of, client_of, in_bin, running, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "entries_subscriber.py"


@pytest.fixture
def entries(kafka_broker: KafkaBroker, kafka_topic: str) -> str:
    """The name of a topic of entries."""
    name = f"{kafka_topic}-entries"
    kafka_broker.create_topic(name, configs=COMPACTED)
    return name


@pytest.fixture
def publishing_stack(stack: Stack, kafka_broker: KafkaBroker, entries: str) -> Stack:
    """Each stack, with the topic of entries beside it."""
    return with_topic(stack, kafka_broker, entries)


def with_topic(stack: Stack, broker: KafkaBroker, entries: str) -> Stack:
    stack.env["BINMIRROR_ENTRIES_TOPIC"] = f"kafka://{broker.bootstrap}/{entries}"
    stack.env["BINMIRROR_KAFKA_ALLOW_SINGLE_REPLICA"] = "true"
    return stack


def shown(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields that the bin's API and the topic have in common."""
    names = ("id", "created_at", "resource_type", "resource_id", "resource_name", "resource_parent_id")
    return {name: entry[name] for name in names}


async def same(subscriber: Subscriber, url: str, load: Load) -> None:
    """Wait until the bin holds all that was accepted, and the copy is the bin."""
    await in_bin(url, load.accepted)
    listed = {
        f"default/{entry['resource_type']}/{entry['resource_id']}": shown(entry)
        for entry in await bin_of(url)
    }
    await subscriber.until(lambda copy: {key: shown(entry) for key, entry in copy.items()} == listed)
    assert len(listed) >= len(set(load.accepted)) > 0


async def more(load: Load, number: int) -> None:
    goal = len(load.accepted) + number

    async def reached() -> bool:
        return len(load.accepted) >= goal

    await until(reached, f"{number} more deliveries accepted")


async def details(service: Service) -> dict[str, Any]:
    """What health says of the publisher; empty while nobody answers."""
    async with client_of(service.url, headers=CREDENTIALS) as client:
        try:
            answer = await client.get("/health", timeout=5)
        except httpx.TransportError:
            return {}
    found: dict[str, Any] = answer.json()["roles"]["worker"]["details"].get("entries_topic", {})
    return found


async def publishes(service: Service) -> bool:
    return (await details(service)).get("doing") == "publishing"


async def publisher_of(*services: Service) -> Service:
    """Wait until one of them publishes."""
    found: list[Service] = []

    async def one_does() -> bool:
        found[:] = [service for service in services if service.alive() and await publishes(service)]
        return bool(found)

    await until(one_does, "somebody publishes", pause=0.2)
    return found[0]


@contextmanager
def example(bootstrap: str, topic: str, folder: Path) -> Iterator[Path]:
    """The subscriber of the documentation, running; where its lines go."""
    lines = folder / "subscriber.log"
    with lines.open("wb") as log:
        process = subprocess.Popen([sys.executable, EXAMPLE, bootstrap, topic], stdout=log, stderr=log)
    try:
        yield lines
        assert process.poll() is None, lines.read_text()
    finally:
        process.kill()
        process.wait(PATIENCE)


async def test_killed_while_it_publishes(
    publishing_stack: Stack, kafka_broker: KafkaBroker, entries: str
) -> None:
    """One process, killed again and again: what subscribers hold, the documentation's too, is the bin."""
    service = publishing_stack.service()
    with running(service), example(kafka_broker.bootstrap, entries, publishing_stack.folder) as lines:
        await service.ready()
        text = lines.read_text

        async def has_begun() -> bool:
            return text().startswith("whole: 0 entries")

        await until(has_begun, "the documentation's subscriber has read the empty topic")
        async with Subscriber(kafka_broker.bootstrap, entries) as subscriber:
            async with Load(lambda: service.url, prefix="kill") as load:
                for _ in range(3):
                    await more(load, 30)
                    await asyncio.to_thread(service.kill)
                    service.start()
                    await service.ready()
                await more(load, 30)
            await same(subscriber, service.url, load)
            keys = set(subscriber.copy)

        async def all_told() -> bool:
            return all(f"{key} deleted" in text() for key in keys)

        await until(all_told, "the documentation's subscriber has told of every entry")
    with running(service), example(kafka_broker.bootstrap, entries, publishing_stack.folder) as lines:

        async def whole() -> bool:
            return lines.read_text().startswith(f"whole: {len(keys)} entries")

        await until(whole, "read from the start it is whole")


@asynccontextmanager
async def status_of(service: Service) -> AsyncIterator[dict[str, Any]]:
    done = await asyncio.to_thread(
        run, ["status", "--json"], env=service.environment(), cwd=service.stack.folder
    )
    yield json.loads(done.stdout)["entries_topic"]


async def test_kafka_away(sqlite_stack: Stack, kafka_broker: KafkaBroker, entries: str) -> None:
    """Beside a log in SQLite Kafka may be away, from the start too: nothing waits, and it is whole later."""
    service = with_topic(sqlite_stack, kafka_broker, entries).service()
    await asyncio.to_thread(kafka_broker.kill)
    with running(service):
        await service.ready()
        async with Load(lambda: service.url, prefix="away", pause=0.03) as load:
            await more(load, 30)

            async def is_in_trouble() -> bool:
                return bool((await details(service)).get("trouble"))

            await until(is_in_trouble, "the publisher misses Kafka")
            await asyncio.to_thread(kafka_broker.restore)
            await until(lambda: publishes(service), "the topic is published", pause=0.2)
            kafka_broker.freeze()
            await more(load, 30)
            kafka_broker.thaw()
            await more(load, 30)
            assert all(answer.status == 202 for answer in load.answers)
        async with Subscriber(kafka_broker.bootstrap, entries) as subscriber:
            await same(subscriber, service.url, load)

        async def up_to_date() -> bool:
            async with status_of(service) as status:
                return status["behind"] == 0 and bool(status["publisher"])

        await until(up_to_date, "status says that nothing is behind", pause=0.2)


async def test_a_wrong_policy(sqlite_stack: Stack, kafka_broker: KafkaBroker, entries: str) -> None:
    """The start is refused with exit code 2 and one line that says what is wrong."""
    set_topic_config(kafka_broker.bootstrap, entries, "cleanup.policy", "delete")
    service = with_topic(sqlite_stack, kafka_broker, entries).service()
    with running(service):
        assert service.process is not None
        assert await asyncio.to_thread(service.process.wait, PATIENCE) == 2
    last = service.log.read_text().strip().splitlines()[-1]
    assert "ENTRIES_TOPIC" in last
    assert "cleanup.policy is delete; it must be compact" in last
