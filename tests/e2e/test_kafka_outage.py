"""Kafka frozen or killed under load: every answer stays 2XX, and everything arrives when it is back."""

import asyncio
import time
from collections import Counter

import pytest

from tests.servers.kafka import KafkaBroker
from tests.stack import PATIENCE, Load, Service, Stack, in_bin, running, until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(180)]

OUTAGE = 10.0
LONG_OUTAGE = 120.0


def take_away(broker: KafkaBroker, how: str) -> None:
    if how == "frozen":
        broker.freeze()
    else:
        broker.kill()


async def outage_has_lasted(load: Load, seconds: float) -> None:
    """Wait until the outage is old enough and deliveries have gone to the spool."""
    began = time.monotonic()

    async def long_enough() -> bool:
        spooled = sum(answer.body.get("stored") == "spool" for answer in load.answers)
        return time.monotonic() - began >= seconds and spooled > 20

    await until(long_enough, "an outage with spooled deliveries", patience=seconds + PATIENCE)


def check_answers(load: Load, *, killed: bool = False) -> None:
    slow = [answer for answer in load.answers if answer.seconds >= 4]
    assert slow == []
    allowed = {0, 202} if killed else {202}
    assert set(Counter(answer.status for answer in load.answers)) <= allowed


def start_all(stack: Stack) -> tuple[Service, Service, Service]:
    receiver, worker, api = (stack.service(role) for role in ("receiver", "worker", "api"))
    return receiver, worker, api


@pytest.mark.parametrize(
    ("seconds", "pause"),
    [
        pytest.param(OUTAGE, 0.04, id="short"),
        pytest.param(LONG_OUTAGE, 0.1, id="long", marks=[pytest.mark.soak, pytest.mark.timeout(400)]),
    ],
)
@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_outage_goes_to_the_spool_and_back(
    server_stack: Stack, kafka_broker: KafkaBroker, how: str, seconds: float, pause: float
) -> None:
    """Answers stay 2XX within 4 s during the outage; afterwards the bin holds everything, once."""
    receiver, worker, api = start_all(server_stack)
    with running(receiver, worker, api):
        for service in (receiver, worker, api):
            await service.ready()
        async with Load(lambda: receiver.url, prefix=how, pause=pause) as load:
            await until(lambda: _count(load, 50), "deliveries before the outage")
            await asyncio.to_thread(take_away, kafka_broker, how)
            await outage_has_lasted(load, seconds)
            # On a thread: the load runs on this loop, and must not stand still meanwhile.
            await asyncio.to_thread(kafka_broker.restore)
            before = len(load.answers)
            await until(lambda: _stored_in_log_since(load, before), "deliveries in the log again")
        check_answers(load)
        entries = await in_bin(api.url, load.accepted)
        assert set(Counter(entry["resource_id"] for entry in entries).values()) == {1}


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_receiver_killed_during_the_outage(
    server_stack: Stack, kafka_broker: KafkaBroker, how: str
) -> None:
    """A receiver killed and restarted while Kafka is away spools on, and relays what it had spooled."""
    receiver, worker, api = start_all(server_stack)
    with running(receiver, worker, api):
        for service in (receiver, worker, api):
            await service.ready()
        async with Load(lambda: receiver.url, prefix=f"k{how}") as load:
            await until(lambda: _count(load, 20), "deliveries before the outage")
            await asyncio.to_thread(take_away, kafka_broker, how)
            await outage_has_lasted(load, 2)
            receiver.kill()
            receiver.start()
            await receiver.live()
            accepted = len(load.accepted)
            await until(lambda: _accepted(load, accepted + 50), "deliveries after the restart")
            # On a thread: the load runs on this loop, and must not stand still meanwhile.
            await asyncio.to_thread(kafka_broker.restore)
        check_answers(load, killed=True)
        entries = await in_bin(api.url, load.accepted)
        assert set(Counter(entry["resource_id"] for entry in entries).values()) == {1}


async def _count(load: Load, number: int) -> bool:
    return len(load.answers) >= number


async def _accepted(load: Load, number: int) -> bool:
    return len(load.accepted) >= number


async def _stored_in_log_since(load: Load, start: int) -> bool:
    return any(answer.body.get("stored") == "log" for answer in load.answers[start:])
