"""Followers of every kind through all that happens to a cluster: in the end each one's copy is the bin."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from consumer.projection.migrate import migrate
from tests.e2e.test_entries_publishing import details, more, publisher_of, same, with_topic
from tests.e2e.test_following import Follower
from tests.entries_kit import COMPACTED, Subscriber
from tests.servers.kafka import KafkaBroker
from tests.servers.postgres import PostgresServer
from tests.stack import Load, Service, Stack, bin_of, running, until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]


@dataclass
class Cluster:
    """One process that takes deliveries and answers, three in one consumer group that work."""

    stack: Stack
    front: Service
    workers: list[Service]

    @property
    def services(self) -> tuple[Service, ...]:
        return (self.front, *self.workers)

    async def ready(self) -> None:
        for service in self.services:
            await service.ready()


@dataclass
class Followers:
    """One of each kind, whose copies are compared with the bin."""

    topic: Subscriber
    page: Follower
    stream: Follower
    tasks: list[asyncio.Task[None]]

    async def hold_the_bin(self, url: str, load: Load) -> None:
        await same(self.topic, url, load)
        whole = {entry["resource_id"]: entry["id"] for entry in await bin_of(url)}

        async def both_hold_it() -> bool:
            for task in self.tasks:
                assert not task.done(), task.exception()
            return self.page.copy == self.stream.copy == whole

        await until(both_hold_it, "the copies by pages and by the stream are the bin")


@asynccontextmanager
async def following(broker: KafkaBroker, topic: str, url: str) -> AsyncIterator[Followers]:
    page, stream = Follower(url), Follower(url)
    async with Subscriber(broker.bootstrap, topic) as subscriber:
        tasks = [asyncio.create_task(page.poll()), asyncio.create_task(stream.stream())]
        yield Followers(subscriber, page, stream, tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_every_follower_holds_the_bin(
    server_stack: Stack, kafka_broker: KafkaBroker, kafka_topic: str, postgres_server: PostgresServer
) -> None:
    """Three workers of one group are killed and so rebalanced, one freezes past its lease and wakes as a
    zombie, everything is killed and the projection made anew from the log, deliveries never ceasing.
    """
    entries = f"{kafka_topic}-entries"
    kafka_broker.create_topic(entries, configs=COMPACTED)
    stack = with_topic(server_stack, kafka_broker, entries)
    again = postgres_server.create_database()
    cluster = Cluster(stack, stack.service("receiver", "api"), [stack.service("worker") for _ in range(3)])
    front = cluster.front
    with running(*cluster.services):
        await cluster.ready()
        async with following(kafka_broker, entries, front.url) as followers:
            async with Load(lambda: front.url, prefix="every", pause=0.03) as load:
                await workers_are_killed(cluster, load)
                await one_wakes_as_a_zombie(cluster, load)
            await followers.hold_the_bin(front.url, load)
            before, seen = set(followers.topic.copy), len(followers.topic.seen)
            async with Load(lambda: front.url, prefix="rebuilt", pause=0.03) as after:
                await everything_is_made_anew(cluster, again)
                await more(after, 30)
            after.answers += load.answers
            await followers.hold_the_bin(front.url, after)
            assert before < set(followers.topic.copy)
            assert all(record.value is not None for record in followers.topic.seen[seen:])
            assert len(followers.topic.seen) >= seen + len(before)
            assert followers.page.started_again >= 1
            assert followers.stream.started_again >= 1
    postgres_server.drop_database(again)


async def workers_are_killed(cluster: Cluster, load: Load) -> None:
    chance = random.Random(7)
    for kill_the_publisher in (True, False, True):
        await more(load, 30)
        victim = (
            await publisher_of(*cluster.workers) if kill_the_publisher else chance.choice(cluster.workers)
        )
        await asyncio.to_thread(victim.kill)
        victim.start()
    await more(load, 30)
    await cluster.ready()


async def one_wakes_as_a_zombie(cluster: Cluster, load: Load) -> None:
    zombie = await publisher_of(*cluster.workers)
    others = [worker for worker in cluster.workers if worker is not zombie]
    zombie.freeze()
    await publisher_of(*others)
    await more(load, 30)
    zombie.thaw()

    async def is_told() -> bool:
        return (await details(zombie)).get("doing") == "standby"

    await until(is_told, "the zombie is told, and stands by", pause=0.2)
    await more(load, 30)
    assert (await details(await publisher_of(*others)))["doing"] == "publishing"


async def everything_is_made_anew(cluster: Cluster, projection: str) -> None:
    for service in cluster.services:
        await asyncio.to_thread(service.kill)
    await asyncio.to_thread(migrate, projection)
    cluster.stack.env["BINMIRROR_PROJECTION"] = projection
    for service in cluster.services:
        service.start()
    await cluster.ready()
