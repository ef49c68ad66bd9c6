"""PostgreSQL stopped, killed and restarted under load: nothing is lost, the worker goes on by itself."""

import asyncio
from collections import Counter

import pytest

from tests.servers.postgres import PostgresServer
from tests.stack import Load, Stack, in_bin, running, until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_database_restarted_under_load(
    server_stack: Stack, postgres_server: PostgresServer, how: str
) -> None:
    """Deliveries go on being accepted, and all are in the bin once the database is back."""
    receiver, worker, api = (server_stack.service(role) for role in ("receiver", "worker", "api"))
    with running(receiver, worker, api):
        for service in (receiver, worker, api):
            await service.ready()
        async with Load(lambda: receiver.url, prefix=how) as load:
            for _ in range(2):
                await _more(load, 50)
                # On a thread: the load runs on this loop, and must not stand still meanwhile.
                await asyncio.to_thread(postgres_server.kill if how == "kill" else postgres_server.stop)
                await _more(load, 50)
                await asyncio.to_thread(postgres_server.start)
            await _more(load, 50)
        assert {answer.status for answer in load.answers} == {202}
        entries = await in_bin(api.url, load.accepted)
        assert set(Counter(entry["resource_id"] for entry in entries).values()) == {1}
        assert worker.alive()
        await worker.ready()


async def _more(load: Load, number: int) -> None:
    goal = len(load.answers) + number

    async def reached() -> bool:
        return len(load.answers) >= goal

    await until(reached, f"{number} more deliveries")
