"""``kill -9`` at random moments under load: what was answered 2XX is in the bin afterwards, once."""

import asyncio
import random
from collections import Counter

from tests.stack import Load, Stack, in_bin, running

ROUNDS = 5


async def test_killed_receiver_and_worker_lose_nothing(stack: Stack) -> None:
    """Receiver and worker are killed again and again while deliveries come in."""
    chance = random.Random(20)
    receiver, worker, api = (stack.service(role) for role in ("receiver", "worker", "api"))
    with running(receiver, worker, api):
        for service in (receiver, worker, api):
            await service.ready()
        async with Load(lambda: receiver.url, prefix="crash") as load:
            for _ in range(ROUNDS):
                await asyncio.sleep(chance.uniform(0.2, 0.8))
                for victim in chance.sample([receiver, worker], chance.choice([1, 2])):
                    victim.kill()
                    victim.start()
                await receiver.live()
        accepted = load.accepted
        assert len(accepted) > 50
        entries = await in_bin(api.url, accepted)
        counts = Counter(entry["resource_id"] for entry in entries)
        assert set(counts.values()) == {1}
        assert {answer.status for answer in load.answers} <= {0, 202, 503}


async def test_killed_service_in_one_process_loses_nothing(stack: Stack) -> None:
    """All roles in one process, killed again and again while deliveries come in."""
    chance = random.Random(21)
    service = stack.service()
    with running(service):
        await service.ready()
        async with Load(lambda: service.url, prefix="all") as load:
            for _ in range(ROUNDS):
                await asyncio.sleep(chance.uniform(0.2, 0.8))
                service.kill()
                service.start()
                await service.live()
        accepted = load.accepted
        assert len(accepted) > 50
        entries = await in_bin(service.url, accepted)
        assert set(Counter(entry["resource_id"] for entry in entries).values()) == {1}
