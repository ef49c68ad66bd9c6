"""Two workers, one frozen past its session and woken again: it is fenced, and never blocked the other."""

import asyncio
from collections import Counter

import psycopg
import pytest

from tests.stack import Load, Service, Stack, in_bin, running, until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(180)]


async def positions_reach_the_end(load: Load, api: Service) -> None:
    entries = await in_bin(api.url, load.accepted)
    assert set(Counter(entry["resource_id"] for entry in entries).values()) == {1}


async def more(load: Load, number: int) -> None:
    goal = len(load.answers) + number

    async def reached() -> bool:
        return len(load.answers) >= goal

    await until(reached, f"{number} more deliveries")


async def test_a_worker_frozen_outside_a_transaction(server_stack: Stack) -> None:
    """The other worker takes its partitions over; woken, the first joins again and spoils nothing."""
    receiver, api = server_stack.service("receiver"), server_stack.service("api")
    frozen, other = server_stack.service("worker"), server_stack.service("worker")
    with running(receiver, api, frozen, other):
        for service in (receiver, api, frozen, other):
            await service.ready()
        async with Load(lambda: receiver.url, prefix="outside") as load:
            await more(load, 100)
            frozen.freeze()
            await more(load, 100)
            await positions_reach_the_end(load, api)
            frozen.thaw()
            await more(load, 100)
            await frozen.ready()
        await positions_reach_the_end(load, api)
        assert frozen.alive()
        assert other.alive()


async def test_a_worker_frozen_inside_a_transaction(server_stack: Stack) -> None:
    """Its open transaction ends by itself, so the other worker goes on; woken, it is fenced."""
    receiver, api = server_stack.service("receiver"), server_stack.service("api")
    frozen, other = server_stack.service("worker"), server_stack.service("worker")
    with running(receiver, api, frozen, other):
        for service in (receiver, api, frozen):
            await service.ready()
        other.freeze()
        async with Load(lambda: receiver.url, prefix="inside", pause=0.05) as load:
            await more(load, 50)
            await _freeze_in_transaction(server_stack, frozen)
            other.thaw()
            await more(load, 50)
            await positions_reach_the_end(load, api)
            frozen.thaw()
            await more(load, 50)
        await positions_reach_the_end(load, api)
        await frozen.ready()
        await other.ready()


async def _freeze_in_transaction(stack: Stack, worker: Service) -> None:
    """Hold the worker's batch up in the middle of its transaction, then freeze the process."""
    url = stack.env["BINMIRROR_PROJECTION"]
    with psycopg.connect(url) as blocker, psycopg.connect(url, autocommit=True) as watcher:
        blocker.execute("LOCK TABLE events IN SHARE MODE")

        async def waits_for_the_lock() -> bool:
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            row = await asyncio.to_thread(lambda: watcher.execute(query).fetchone())
            return row is not None and row[0] > 0

        await until(waits_for_the_lock, "the worker's batch waits inside its transaction")
        worker.freeze()
        blocker.rollback()
